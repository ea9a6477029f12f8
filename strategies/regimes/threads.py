"""One thread for small arrays: threads of BLAS and k-means only fight over the cores (25 times slower when busy)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which the numeric libraries that are loaded use one thread."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limit


@lru_cache(maxsize=1)
def _controller() -> Any:
    # Both libraries first: the controller knows only what is loaded when it looks.
    import hmmlearn.hmm  # noqa: F401, PLC0415  # only training needs it
    import sklearn.cluster  # noqa: F401, PLC0415  # as above
    from threadpoolctl import (  # type: ignore[import-untyped]  # noqa: PLC0415  # comes with sklearn, without types
        ThreadpoolController,
    )

    return ThreadpoolController()

"""Every row of the research benchmark: each module ``row_*.py`` of this package names the rows it measures.

A module has ``ROWS``, a mapping of row name to a function without arguments that measures ours and the peer in turn
and returns a ``Row``. It raises ``PeerMissing`` where the peer cannot be had and ``RuntimeError`` where the two did
not do the same work. Heavy imports belong inside the functions: the names must be cheap to list.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import tests.research_benchmarks as package
from tests.benchmarks.row import Row

Measure = Callable[[], Row]
PREFIX = "row_"


def rows() -> dict[str, Measure]:
    """Return every row's measure by name, in the order of the modules' names.

    Raises:
        ValueError: two modules measure a row of the same name.
    """
    found: dict[str, Measure] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__) if info.name.startswith(PREFIX)):
        for name, measure in importlib.import_module(f"{package.__name__}.{module}").ROWS.items():
            if name in found:
                raise ValueError(f"the row {name} is measured twice")
            found[name] = measure
    return found

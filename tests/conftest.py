"""How the suite is spread over processes, and what its tests may not leave to each other."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

END_TO_END = "tests/e2e"


def pytest_configure() -> None:
    """Let no logger remember its first configuration: it would be that of another test, and could not be captured."""
    configure = structlog.configure

    def without_memory(**settings: Any) -> None:
        configure(**(settings | {"cache_logger_on_first_use": False}))

    structlog.configure = without_memory  # type: ignore[assignment]  # the same but for one setting


class Together(LoadScopeScheduling):  # type: ignore[misc]  # a library without types
    """Keeps a file's tests on one worker: they share servers that take seconds to start.

    The end-to-end tests stay together as a whole: each of them starts the whole platform on its documented ports.
    """

    def _split_scope(self, nodeid: str) -> str:
        return END_TO_END if nodeid.startswith(f"{END_TO_END}/") else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Spread tests as ``Together`` does; groups marked by name are not seen by this pytest and its xdist."""
    return Together(config, log)

"""How the suite is spread over processes."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker: they share servers that take seconds to start.

    The end-to-end tests stay together as a whole: each of them starts the whole platform on its documented ports.
    """
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("tests/e2e" if file.startswith("tests/e2e") else file))

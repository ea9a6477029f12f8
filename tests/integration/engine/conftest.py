"""One engine against one exchange for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange


@pytest.fixture(scope="module")
def engine(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    running = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url).start()
    assert running.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
    yield running
    assert running.stop() == 0

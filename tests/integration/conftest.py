"""Fixtures of the integration tests: the simulated exchange as a real process on a real port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.simulated_exchange import SimulatedExchange


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedExchange]:
    """One exchange for all tests of a module; faults left behind are lifted by `no_faults_left`."""
    running = SimulatedExchange.start(log=tmp_path_factory.mktemp("exchange") / "exchange.log")
    yield running
    assert running.stop() == 0


@pytest.fixture
def no_faults_left(exchange: SimulatedExchange) -> Iterator[None]:
    """Lift every fault after the test."""
    yield
    exchange.clear_faults()

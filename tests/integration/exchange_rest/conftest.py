"""Clients of the exchange under test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.exchange_rest.signed_client import SignedClient
from tests.integration.simulated_exchange import SimulatedExchange


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedExchange]:
    """One exchange for all tests of a module; a short past makes it start sooner."""
    log = tmp_path_factory.mktemp("exchange") / "exchange.log"
    running = SimulatedExchange.start("--history", "30m", log=log)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def client(exchange: SimulatedExchange) -> Iterator[SignedClient]:
    """The exchange's own account."""
    signed = SignedClient(exchange.url, exchange.api_key, exchange.api_secret)
    yield signed
    signed.close()

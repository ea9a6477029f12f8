"""Binance USD-M passes the deck against a real exchange process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from tests.integration.simulated_exchange import SimulatedExchange, free_port
from tests.integration.venues.adapters import futures_venue
from tests.integration.venues.deck import VenueDeck
from tests.integration.venues.fault_deck import FaultDeck
from tests.integration.venues.rig import Rig

SYMBOL = "ETHUSDT.BINANCE"


@pytest.fixture
async def rig(exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(futures_venue(exchange.url, tmp_path), exchange, Market.FUTURES, SYMBOL, tmp_path)
    await rig.open()
    yield rig
    await rig.close()


@pytest.fixture
async def unreachable(exchange: SimulatedExchange, tmp_path: Path) -> AsyncIterator[Rig]:
    url = f"http://127.0.0.1:{free_port()}"
    rig = Rig(futures_venue(url, tmp_path), exchange, Market.FUTURES, SYMBOL, tmp_path)
    yield rig
    await rig.venue.close()


class TestBinanceFutures(VenueDeck, FaultDeck):
    """The deck over REST and listen keys."""

    interval = "1m"
    placing = ("/fapi/v1/order", "POST")

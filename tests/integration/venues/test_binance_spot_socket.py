"""Binance spot with order entry over the WebSocket API passes the same deck."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from tests.integration.simulated_exchange import SimulatedExchange, free_port
from tests.integration.venues.adapters import spot_venue
from tests.integration.venues.deck import VenueDeck
from tests.integration.venues.fault_deck import FaultDeck
from tests.integration.venues.rig import Rig, eventually

SYMBOL = "ETHUSDT.BINANCE"


@pytest.fixture
async def rig(exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path) -> AsyncIterator[Rig]:
    venue = spot_venue(exchange.url, tmp_path, socket=True)
    rig = Rig(venue, exchange, Market.SPOT, SYMBOL, tmp_path)
    await rig.open()

    async def ready() -> bool:
        return venue.order_socket_ready

    await eventually(ready, bool)
    yield rig
    await rig.close()


@pytest.fixture
async def unreachable(exchange: SimulatedExchange, tmp_path: Path) -> AsyncIterator[Rig]:
    venue = spot_venue(f"http://127.0.0.1:{free_port()}", tmp_path, socket=True)
    rig = Rig(venue, exchange, Market.SPOT, SYMBOL, tmp_path)
    yield rig
    await rig.venue.close()


class TestBinanceSpotSocket(VenueDeck, FaultDeck):
    """The deck over the WebSocket API."""

    placing = ("order.place", "WS")

"""Binance spot over REST passes the deck against a real exchange process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine_service.domain.errors import ConfigurationError
from engine_service.domain.ids import Market
from tests.integration.simulated_exchange import SimulatedExchange, free_port
from tests.integration.venues.adapters import spot_venue
from tests.integration.venues.deck import VenueDeck
from tests.integration.venues.fault_deck import FaultDeck
from tests.integration.venues.rig import Rig

SYMBOL = "BTCUSDT.BINANCE"


@pytest.fixture
async def rig(exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(spot_venue(exchange.url, tmp_path), exchange, Market.SPOT, SYMBOL, tmp_path)
    await rig.open()
    yield rig
    await rig.close()


@pytest.fixture
async def unreachable(exchange: SimulatedExchange, tmp_path: Path) -> AsyncIterator[Rig]:
    url = f"http://127.0.0.1:{free_port()}"
    rig = Rig(spot_venue(url, tmp_path), exchange, Market.SPOT, SYMBOL, tmp_path)
    yield rig
    await rig.venue.close()


class TestBinanceSpot(VenueDeck, FaultDeck):
    """The deck over REST."""


@pytest.mark.anyio
async def test_a_key_that_the_venue_refuses_is_a_configuration_error(
    exchange: SimulatedExchange, tmp_path: Path
) -> None:
    venue = spot_venue(exchange.url, tmp_path, secret="not-the-secret")
    with pytest.raises(ConfigurationError, match="VENUE_SIGNATURE"):
        await venue.open()
    await venue.close()

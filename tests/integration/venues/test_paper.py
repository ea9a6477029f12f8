"""The paper venue on the exchange's public data passes the deck."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from engine_service.venues.paper.sources import BinanceSource
from engine_service.venues.paper.venue import PaperState, PaperVenue
from engine_service.venues.reports import Quote
from tests.integration.simulated_exchange import SimulatedExchange
from tests.integration.venues.adapters import session
from tests.integration.venues.deck import VenueDeck
from tests.integration.venues.rig import Rig

SYMBOL = "BTCUSDT.BINANCE"


@pytest.fixture
async def rig(exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path) -> AsyncIterator[Rig]:
    source = BinanceSource(session(Market.SPOT, exchange.url, tmp_path, key=""))
    venue = PaperVenue(source, PaperState(balances={"USDT": Decimal(1_000_000)}), latency_ms=1)
    rig = Rig(venue, exchange, Market.SPOT, SYMBOL, tmp_path)
    await rig.open()
    await rig.market_events().until(Quote)
    yield rig
    await rig.close()


class TestPaper(VenueDeck):
    """The deck on paper."""

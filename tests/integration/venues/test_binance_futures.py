"""Binance USD-M passes the deck against a real exchange process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from engine_service.venues.binance.session import Call
from engine_service.venues.reports import OrderReport, StreamStatus
from tests.integration.simulated_exchange import SimulatedExchange, free_port
from tests.integration.venues.adapters import futures_venue, session
from tests.integration.venues.deck import VenueDeck
from tests.integration.venues.fault_deck import FaultDeck
from tests.integration.venues.rig import Rig, eventually

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


@pytest.mark.anyio
async def test_a_listen_key_that_ends_is_told_as_a_gap_and_made_anew(rig: Rig) -> None:
    recorder = rig.user_events()
    await recorder.until(StreamStatus, lambda status: status.connected)
    other = session(Market.FUTURES, rig.exchange.url, rig.home)
    await other.request(Call("DELETE", "/fapi/v1/listenKey", 1), "")
    await other.close()
    lost = await recorder.until(StreamStatus, lambda status: not status.connected)

    async def after() -> list[StreamStatus]:
        rest = recorder.seen[recorder.seen.index(lost) :]
        return [event for event in rest if isinstance(event, StreamStatus) and event.connected]

    await eventually(after, bool)
    order = rig.order()
    await rig.accepted(order)
    await recorder.until(OrderReport, lambda report: report.client_order_id == order.client_order_id)

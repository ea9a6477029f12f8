"""Funding and other income: announced by the stream without an id, told with the id of the history, once a payment."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from engine_service.domain.money_events import AdjustmentKind
from engine_service.venues.binance.futures import BinanceFutures
from engine_service.venues.reports import FundingReport, IncomeReport, StreamStatus
from tests.integration.simulated_exchange import SimulatedExchange
from tests.integration.venues.adapters import futures_venue
from tests.integration.venues.rig import Recorder, Rig


async def listening(futures: BinanceFutures, exchange: SimulatedExchange, folder: Path) -> tuple[Rig, Recorder]:
    """Return a rig on the exchange and what its connected user stream tells."""
    rig = Rig(futures, exchange, Market.FUTURES, "ETHUSDT.BINANCE", folder)
    await rig.open()
    recorder = rig.user_events()
    await recorder.until(StreamStatus, lambda status: status.connected)
    return rig, recorder


@pytest.mark.anyio
async def test_a_funding_payment_is_told_with_its_symbol_and_the_venues_id(tmp_path: Path) -> None:
    exchange = SimulatedExchange.start("--funding", "10s", log=tmp_path / "exchange.log")
    try:
        futures = futures_venue(exchange.url, tmp_path)
        rig, recorder = await listening(futures, exchange, tmp_path)
        await rig.accepted(rig.order())
        paid = await recorder.until(FundingReport, within_s=20)
        assert (paid.symbol, paid.asset) == ("ETHUSDT.BINANCE", "USDT")
        assert paid.amount != 0
        assert paid.income_id
        assert paid in await futures.funding_since(0)
        assert await futures.funding_since(paid.at_ms + 60_000) == []
        await rig.close()
    finally:
        exchange.stop()


@pytest.mark.anyio
async def test_what_the_insurance_fund_made_good_is_told_with_the_venues_id(tmp_path: Path) -> None:
    exchange = SimulatedExchange.start("--balance", "USDT=10000", log=tmp_path / "exchange.log")
    try:
        futures = futures_venue(exchange.url, tmp_path)
        rig, recorder = await listening(futures, exchange, tmp_path)
        await rig.accepted(rig.order(quantity=rig.instrument.round_quantity(8_000 / rig.price(), market_order=True)))
        rig.deposit("-9400")
        rig.jump("-0.2")
        got = await recorder.until(IncomeReport, within_s=20)
        assert (got.kind, got.asset, got.amount > 0) == (AdjustmentKind.INSURANCE, "USDT", True)
        assert got.income_id.startswith("INSURANCE_CLEAR:")
        assert await futures.income_since(0) == [got]
        assert (await futures.account(Market.FUTURES)).balances == ()
        await rig.close()
    finally:
        exchange.stop()

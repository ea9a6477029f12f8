"""Private events: transfers and funding are booked once, gaps lead to a comparison, stop-outs to a quarantine."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.domain.ids import Market
from engine_service.execution.submit import submit
from engine_service.execution.user_stream import restrict_after_stop_out, take
from engine_service.venues.reports import Balance, BalanceReport, FundingReport, StreamStatus
from tests.fakes.engine import fake, limit_order, make_core, mark_of, policy
from tests.fakes.venue import FakeVenue

pytestmark = pytest.mark.anyio
D = Decimal


async def test_a_pushed_transfer_is_booked_and_pushed_totals_are_left_to_the_comparison() -> None:
    core = make_core()
    deposit = BalanceReport(
        venue="BINANCE",
        market=Market.SPOT,
        at_ms=1,
        transfer_asset="USDT",
        transfer_amount=D("250"),
        kind="transfer",
    )
    take(core, "BINANCE", deposit)
    totals = BalanceReport(venue="BINANCE", market=Market.SPOT, at_ms=2, balances=(Balance(asset="USDT", free=D(1)),))
    take(core, "BINANCE", totals)
    assert core.state.portfolio.transfers == D("250")
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "USDT") == D("10250")


async def test_a_funding_payment_is_booked_once_however_often_it_is_told() -> None:
    core = make_core(venue=FakeVenue(fake(make_core()).clock, markets=(Market.FUTURES,)))
    paid = FundingReport(symbol="BTCUSDT.BINANCE", asset="USDT", amount=D("-1.5"), at_ms=1, income_id="i1")
    for _ in range(3):
        take(core, "BINANCE", paid)
    assert core.state.portfolio.funding == D("1.5")
    assert core.state.portfolio.identity_error == 0


async def test_after_a_gap_what_was_missed_is_read() -> None:
    core = make_core()
    result = await submit(core, limit_order("49000"), mark_of())
    fake(core).fill(result.order.client_order_id, D("0.001"))
    take(core, "BINANCE", StreamStatus(stream="user", connected=False, reason="lost"))
    assert core.tasks == {}
    take(core, "BINANCE", StreamStatus(stream="user", connected=True))
    await core.settle()
    assert core.state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == D("0.001")


async def test_two_stop_outs_within_the_window_quarantine_the_symbol_for_its_time() -> None:
    core = make_core(limits=policy())
    now = core.clock.now_ms()
    old = now - 61 * 60_000
    assert not restrict_after_stop_out(core, "BTCUSDT.BINANCE", Market.SPOT, [old, now])
    assert restrict_after_stop_out(core, "BTCUSDT.BINANCE", Market.SPOT, [old, now - 1, now])
    held = core.state.restriction("BTCUSDT.BINANCE", Market.SPOT, now)
    assert held is not None
    assert held.until_ms == now + 4 * 3_600_000

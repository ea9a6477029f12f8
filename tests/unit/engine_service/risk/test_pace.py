"""What the gate remembers: rates, repeats, halts; what a reducing order is excused from; what a refusal says."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply import apply
from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide
from engine_service.risk import permissions
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.risk.gate import Approved, RiskGate
from engine_service.risk.permissions import RAILS, Pace, shape_of
from tests.fakes.engine import limit_order, market_order, policy
from tests.unit.engine_service.risk.contexts import context, core_with, says

pytestmark = pytest.mark.anyio
D = Decimal
#: What an order that only reduces is not held up by; written by hand, as the specification has it.
REDUCING_PASSES = {
    *("TRADING_HALTED", "VENUE_BREAKER_OPEN", "EQUITY_BREAKER_OPEN", "TRADING_DISABLED", "SYMBOL_QUARANTINED"),
    *("PRICE_STALE", "PRICE_INVALID", "NOTIONAL_TOO_LARGE", "EXPOSURE_SYMBOL_CAP", "EXPOSURE_TOTAL_CAP"),
    *("EXPOSURE_VENUE_CAP", "STRATEGY_BUDGET_EXCEEDED", "LEVERAGE_LIMIT", "EQUITY_FLOOR", "EQUITY_DRAWDOWN"),
    *("DAILY_LOSS", "ORDER_RATE_EXCEEDED", "DUPLICATE_ORDER", "STRATEGY_DISABLED"),
}


def at(ctx: RiskContext, now_s: float, **limits: object) -> RiskContext:
    return replace(ctx, now_s=now_s, policy=policy(**limits) if limits else ctx.policy)


def said(found: RiskRefused | None) -> dict[str, str]:
    return {} if found is None else dict(found.numbers)


async def test_a_reducing_order_is_excused_from_these_rails_and_no_others() -> None:
    assert {rail.code for rail in RAILS if rail.reducing_passes} == REDUCING_PASSES
    verdicts = {
        v.code: v.asked for v in RiskGate(policy()).explain(context(core_with(), market_order(reduce_only=True)))
    }
    assert {code for code, asked in verdicts.items() if not asked} == REDUCING_PASSES
    assert all(v.asked for v in RiskGate(policy()).explain(context(core_with())))


async def test_a_rail_of_the_gate_asks_what_the_gate_remembers() -> None:
    ctx, gate = context(core_with({"order_rate_per_min": "1"})), RiskGate(policy())
    assert isinstance(gate.check(ctx), Approved)
    verdicts = {v.code: v for v in gate.explain(ctx)}
    assert [code for code, verdict in verdicts.items() if not verdict.passed] == ["ORDER_RATE_EXCEEDED"]
    assert verdicts["ORDER_RATE_EXCEEDED"].numbers == says("more than 1", "1", "1", retry_after_ms="60000")
    assert verdicts["ORDER_RATE_EXCEEDED"].reason == "too many orders per minute"
    assert all(verdict.asked for verdict in verdicts.values())


async def test_all_strategies_share_one_rate_and_each_has_its_own() -> None:
    ctx, gate = context(core_with({"order_rate_per_min": "3", "strategy_order_rate_per_min": "2"})), RiskGate(policy())
    mine, yours = ctx, replace(ctx, request=market_order(strategy="yours"))
    assert [isinstance(gate.check(each), Approved) for each in (mine, mine, mine, yours, yours)] == [
        *(True, True, False, True, False)
    ]
    assert permissions.order_rate(at(mine, 31.0), gate.pace) is None
    gate.check(at(mine, 40.0))
    wide = at(mine, 40.0, order_rate_per_min="9", strategy_order_rate_per_min="1")
    refused = permissions.order_rate(wide, gate.pace)
    assert refused is not None
    assert refused.reason == "too many orders of this strategy"
    # Two and two thirds of an order are on it: 5/3 of a minute until one fits again.
    assert said(refused) == says("more than 1", "1", "1", retry_after_ms="100000")


async def test_a_rate_of_none_and_a_person_s_stop_name_no_time_to_wait_for() -> None:
    ctx, pace = context(core_with({"order_rate_per_min": "0"})), Pace()
    assert said(permissions.order_rate(ctx, pace)) == says("more than 0", "0", "0")
    pace.venue(ctx.venue).stop(math.inf)
    assert said(permissions.venue_breaker(ctx, pace)) == says("open", "50 % of a minute's calls")


async def test_an_open_breaker_says_when_to_ask_again() -> None:
    ctx, pace = context(core_with({"breaker_open_s": "30", "equity_breaker_open_s": "300"})), Pace()
    pace.venue(ctx.venue).opened_at_s = pace.equity.opened_at_s = 100.0
    late = at(ctx, 110.5)
    assert said(permissions.venue_breaker(late, pace)) == says(
        "open", "50 % of a minute's calls", retry_after_ms="19500"
    )
    assert said(permissions.equity_breaker(late, pace)) == says(
        "open", "10 % within the window", retry_after_ms="289500"
    )


async def test_reducing_orders_use_up_no_rate_and_are_no_repeats() -> None:
    gate = RiskGate(policy())
    closing = context(core_with(), market_order(reduce_only=True))
    for _ in range(3):
        gate.pace.passed(closing)
    assert (gate.pace.everyone.used, gate.pace.strategies, gate.pace.recent) == (0.0, {}, {})


async def test_an_equal_order_is_a_repeat_until_its_window_has_passed() -> None:
    ctx, pace = context(core_with({"duplicate_window_ms": "500"})), Pace()
    first = at(ctx, 10.0)
    assert permissions.duplicate_order(first, pace) is None
    pace.passed(first)
    assert said(permissions.duplicate_order(at(ctx, 10.1), pace)) == says("100", "500", "500", retry_after_ms="400")
    assert said(permissions.duplicate_order(at(ctx, 10.499), pace)) == says("499", "500", "500", retry_after_ms="1")
    assert permissions.duplicate_order(at(ctx, 10.5), pace) is None
    assert permissions.duplicate_order(at(ctx, 10.1, duplicate_window_ms="0"), pace) is None
    assert said(permissions.duplicate_order(at(ctx, 10.0, duplicate_window_ms="1"), pace)) == says(
        "0", "1", "1", retry_after_ms="1"
    )


@pytest.mark.parametrize(
    "other",
    [
        market_order("0.002"),
        market_order(side=OrderSide.SELL),
        market_order(strategy="other"),
        market_order(symbol="ETHUSDT.BINANCE"),
        market_order(market=Market.FUTURES),
        limit_order("50000"),
        limit_order("49999"),
    ],
)
async def test_another_order_is_no_repeat(other: object) -> None:
    core = core_with(futures=True)
    orders = [market_order(), limit_order("50001"), other]
    shapes = {shape_of(context(core, order)) for order in orders}  # type: ignore[arg-type]  # parametrised as object
    assert len(shapes) == 3
    assert shape_of(context(core)) == shape_of(context(core, market_order()))
    assert shape_of(context(core, stop_price=D(1))) != shape_of(context(core))


async def test_what_is_too_old_to_be_a_repeat_is_forgotten() -> None:
    ctx, pace = context(core_with({"duplicate_window_ms": "500"})), Pace()
    pace.passed(at(ctx, 10.0))
    pace.passed(at(replace(ctx, quantity=D("0.002")), 10.4))
    pace.passed(at(replace(ctx, quantity=D("0.003")), 10.5))
    assert [at_s for at_s, _ in pace.order_of_recent] == [10.0, 10.4, 10.5]
    pace.passed(at(ctx, 10.8))  # the first order once more: its newest time is what is remembered
    assert [at_s for at_s, _ in pace.order_of_recent] == [10.4, 10.5, 10.8]
    assert sorted(pace.recent.values()) == [10.4, 10.5, 10.8]
    pace.passed(at(replace(ctx, quantity=D("0.004")), 99.0))
    assert (len(pace.recent), len(pace.order_of_recent)) == (1, 1)


async def test_without_a_window_no_order_is_remembered_and_old_ones_are_forgotten() -> None:
    ctx, pace = context(core_with({"duplicate_window_ms": "500"})), Pace()
    off = context(core_with({"duplicate_window_ms": "0"}))
    pace.passed(at(off, 9.0))
    assert (len(pace.recent), len(pace.order_of_recent)) == (0, 0)
    pace.passed(at(ctx, 10.0))
    assert len(pace.recent) == 1
    pace.passed(at(off, 10.1))
    assert 10.0 not in pace.recent.values()
    assert pace.everyone.used == 3.0


async def test_ten_thousand_orders_are_remembered_at_most() -> None:
    ctx, pace = context(core_with({"duplicate_window_ms": "3600000"})), Pace()
    for number in range(10_002):
        pace.passed(replace(ctx, quantity=D(number)))
    assert (len(pace.recent), len(pace.order_of_recent)) == (10_000, 10_000)
    assert permissions.duplicate_order(replace(ctx, quantity=D(1)), pace) is None
    assert permissions.duplicate_order(replace(ctx, quantity=D(2)), pace) is not None


async def test_a_halt_says_who_can_end_it_and_a_doubt_how_many_there_are() -> None:
    core = core_with({"max_in_doubt": "2"})
    ctx, pace = context(core), Pace()
    order = core.state.image.orders
    assert permissions.trading_halted(ctx, pace) is None
    core.state.in_doubt.update(dict.fromkeys(("a", "b"), next(iter(order.values()), None)))  # type: ignore[arg-type]
    assert said(permissions.trading_halted(ctx, pace)) == says("2", "2", "1")
    apply(core.state, e.TradingHalted(at_ms=0, reason="drill", principal="me"))
    found = permissions.trading_halted(ctx, pace)
    assert found is not None
    assert (found.reason, said(found)) == ("halted: drill", says("halted", "resumed by a person"))


async def test_a_restriction_says_how_long_it_lasts() -> None:
    core = core_with()
    kept = {"symbol": "BTCUSDT.BINANCE", "market": Market.SPOT, "code": "OVERFILL", "reason": "too much"}
    assert permissions.symbol_quarantined(context(core), Pace()) is None
    apply(core.state, e.SymbolRestricted(at_ms=0, **kept))  # type: ignore[arg-type]  # the fields are of two types
    found = permissions.symbol_quarantined(context(core), Pace())
    assert found is not None
    assert (found.reason, said(found)) == ("OVERFILL: too much", says("quarantined", "a person lifts it"))
    until_ms = core.clock.now_ms() + 1
    apply(core.state, e.SymbolRestricted(at_ms=0, until_ms=until_ms, **kept))  # type: ignore[arg-type]
    assert said(permissions.symbol_quarantined(context(core), Pace())) == says("quarantined", f"until_ms {until_ms}")


async def test_a_long_list_of_symbols_is_cut_where_it_is_shown() -> None:
    listed = ",".join(f"COIN{number:03}USDT.BINANCE" for number in range(20))
    ctx = context(core_with({"allowed_symbols": listed}))
    assert said(permissions.symbol_not_allowed(ctx, Pace())) == says("BTCUSDT.BINANCE", listed[:200])


async def test_a_thousand_refusals_within_a_minute_are_a_loop_and_fewer_are_not() -> None:
    pace = Pace()
    assert [pace.runs_away("me", 7.0) for _ in range(1_000)] == [False] * 999 + [True]
    assert pace.runs_away("me", 7.0)
    assert not pace.runs_away("another", 7.0)
    assert not pace.runs_away("me", 67.1)
    slow = Pace()
    assert not any(slow.runs_away("me", number * 0.0601) for number in range(3_000))

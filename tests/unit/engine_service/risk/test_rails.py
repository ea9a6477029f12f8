"""Each rail alone, with its numbers; their order; and what reducing orders may pass."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply import apply
from engine_service.domain.ids import Market
from engine_service.domain.marks import Mark
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType, TimeInForce
from engine_service.execution.core import EngineCore
from engine_service.execution.prepare import risk_context
from engine_service.execution.submit import check, submit
from engine_service.risk.context import RiskRefused
from engine_service.risk.gate import Approved
from engine_service.risk.permissions import RAILS
from tests.fakes.engine import fake, limit_order, make_core, mark_of, market_order, opening, policy
from tests.fakes.venue import FakeVenue, Script, unknown

pytestmark = pytest.mark.anyio
D = Decimal
SPEC_ORDER = [
    *("TRADING_HALTED", "VENUE_BREAKER_OPEN", "EQUITY_BREAKER_OPEN", "TRADING_DISABLED", "STRATEGY_DISABLED"),
    *("SYMBOL_NOT_ALLOWED", "SYMBOL_QUARANTINED", "ORDER_SHAPE_INVALID", "PRICE_STALE", "PRICE_INVALID"),
    *("PRICE_BAND", "REDUCE_ONLY"),
    *("NOTIONAL_TOO_SMALL", "NOTIONAL_TOO_LARGE", "INSUFFICIENT_FUNDS", "SHORT_NOT_ALLOWED"),
    *("EXPOSURE_SYMBOL_CAP", "EXPOSURE_TOTAL_CAP", "EXPOSURE_VENUE_CAP", "STRATEGY_BUDGET_EXCEEDED"),
    *("LEVERAGE_LIMIT", "EQUITY_FLOOR", "EQUITY_DRAWDOWN", "DAILY_LOSS", "ORDER_RATE_EXCEEDED"),
    *("DUPLICATE_ORDER", "SELF_TRADE"),
]


def judge(core: EngineCore, request: OrderRequest) -> str:
    """Return the code of the refusal, or an empty text."""
    verdict = core.gate.check(risk_context(core, request))
    return verdict.code if isinstance(verdict, RiskRefused) else ""


def numbers(core: EngineCore, request: OrderRequest) -> dict[str, str]:
    verdict = core.gate.check(risk_context(core, request))
    assert isinstance(verdict, RiskRefused)
    return dict(verdict.numbers)


def both_markets() -> EngineCore:
    core = make_core()
    return make_core(venue=FakeVenue(fake(core).clock, markets=(Market.SPOT, Market.FUTURES)))


def equity(core: EngineCore, *, peak: str = "10000", day_start: str = "10000") -> None:
    zero = D(0)
    apply(
        core.state,
        e.EquityRecorded(
            at_ms=core.clock.now_ms(),
            equity=D("10000"),
            peak=D(peak),
            day_start=D(day_start),
            realised_pnl=zero,
            unrealised_pnl=zero,
            fees=zero,
            funding=zero,
            transfers=zero,
        ),
    )


def hold(core: EngineCore, asset: str, amount: str, rate: str) -> None:
    apply(core.state, opening(core, Market.SPOT, asset, D(amount), D(rate)))


def quote(core: EngineCore, bid: str, ask: str, *, age_ms: int = 0) -> None:
    at_s = core.clock.monotonic_s() - age_ms / 1000
    core.marks = type(core.marks)()
    core.state.exposure.watch(core.marks)
    core.marks.update(Mark(symbol="BTCUSDT.BINANCE", market=Market.SPOT, bid=D(bid), ask=D(ask), at_s=at_s))


async def test_the_rails_stand_in_the_order_of_the_specification() -> None:
    assert [rail.code for rail in RAILS] == SPEC_ORDER


async def test_a_plain_order_passes_and_is_reserved_at_its_value() -> None:
    core = make_core()
    verdict = core.gate.check(risk_context(core, market_order()))
    assert isinstance(verdict, Approved)
    assert verdict.reservation.unit_value == D("50000")
    assert (verdict.reservation.asset, verdict.reservation.per_unit) == ("USDT", D("50500"))


async def test_trading_halted() -> None:
    core = make_core()
    apply(core.state, e.TradingHalted(at_ms=0, reason="drill", principal="me"))
    assert judge(core, market_order()) == "TRADING_HALTED"


async def test_too_many_orders_in_doubt_halt_new_risk() -> None:
    core = make_core(limits=policy(max_in_doubt="2"))
    fake(core).down = True
    for _ in range(2):
        fake(core).scripts.append(Script(act=False, say=unknown()))
        await submit(core, market_order(), mark_of())
    assert judge(core, market_order()) == "TRADING_HALTED"
    for task in list(core.tasks.values()):
        task.cancel()


async def test_venue_breaker_opens_on_half_of_ten_calls_and_lets_one_probe_through() -> None:
    core = make_core()
    clock = fake(core).clock
    for number in range(10):
        core.gate.venue_result("BINANCE", ok=number % 2 == 0, now_s=clock.monotonic_s())
    assert judge(core, market_order()) == "VENUE_BREAKER_OPEN"
    clock.advance(31_000)
    assert judge(core, market_order()) == ""
    assert judge(core, market_order()) == "VENUE_BREAKER_OPEN"
    core.gate.venue_result("BINANCE", ok=True, now_s=clock.monotonic_s())
    assert judge(core, market_order()) == ""


async def test_a_failed_probe_keeps_the_breaker_open() -> None:
    core = make_core()
    clock = fake(core).clock
    for _ in range(10):
        core.gate.venue_result("BINANCE", ok=False, now_s=clock.monotonic_s())
    clock.advance(31_000)
    assert judge(core, market_order()) == ""
    core.gate.venue_result("BINANCE", ok=False, now_s=clock.monotonic_s())
    assert judge(core, market_order()) == "VENUE_BREAKER_OPEN"


async def test_too_few_calls_open_no_breaker_and_old_ones_are_forgotten() -> None:
    core = make_core()
    clock = fake(core).clock
    for _ in range(9):
        core.gate.venue_result("BINANCE", ok=False, now_s=clock.monotonic_s())
    assert judge(core, market_order()) == ""
    clock.advance(61_000)
    core.gate.venue_result("BINANCE", ok=False, now_s=clock.monotonic_s())
    assert judge(core, market_order()) == ""


async def test_equity_breaker_opens_on_a_fast_fall_and_closes_after_its_time() -> None:
    core = make_core()
    clock = fake(core).clock
    core.gate.equity_seen(D("10000"), D(0), clock.monotonic_s())
    clock.advance(10_000)
    core.gate.equity_seen(D("8900"), D(0), clock.monotonic_s())
    assert judge(core, market_order()) == "EQUITY_BREAKER_OPEN"
    clock.advance(301_000)
    assert judge(core, market_order()) == ""


async def test_a_withdrawal_is_no_fast_fall() -> None:
    core = make_core()
    clock = fake(core).clock
    core.gate.equity_seen(D("10000"), D(0), clock.monotonic_s())
    clock.advance(10_000)
    core.gate.equity_seen(D("5000"), D("-5000"), clock.monotonic_s())
    assert judge(core, market_order()) == ""


async def test_trading_disabled() -> None:
    assert judge(make_core(limits=policy(trading_enabled="false")), market_order()) == "TRADING_DISABLED"


async def test_symbol_not_allowed() -> None:
    core = make_core(limits=policy(allowed_symbols="ETHUSDT.BINANCE"))
    assert judge(core, market_order()) == "SYMBOL_NOT_ALLOWED"
    assert judge(core, market_order("0.01", symbol="ETHUSDT.BINANCE")) == ""


async def test_a_suspended_instrument_is_not_allowed() -> None:
    core = make_core()
    key = ("BTCUSDT.BINANCE", Market.SPOT)
    core.instruments[key] = replace(core.instruments[key], trading=False)
    assert judge(core, market_order()) == "SYMBOL_NOT_ALLOWED"


async def test_symbol_quarantined_until_its_time() -> None:
    core = make_core()
    until = core.clock.now_ms() + 1000
    apply(
        core.state,
        e.SymbolRestricted(
            at_ms=0, symbol="BTCUSDT.BINANCE", market=Market.SPOT, code="STOP_OUTS", reason="2", until_ms=until
        ),
    )
    assert judge(core, market_order()) == "SYMBOL_QUARANTINED"
    fake(core).clock.advance(1000)
    assert judge(core, market_order()) == ""


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (market_order("0.000001"), "QUANTITY_ROUNDS_TO_ZERO"),
        (market_order("9001"), "ORDER_SHAPE_INVALID"),
        (replace(market_order(), limit_price=D("50000")), "ORDER_SHAPE_INVALID"),
        (replace(limit_order("50000"), limit_price=None), "ORDER_SHAPE_INVALID"),
        (replace(limit_order("50000"), type=OrderType.STOP_LIMIT), "ORDER_SHAPE_INVALID"),
        (replace(limit_order("0.001")), "ORDER_SHAPE_INVALID"),
        (replace(market_order(), post_only=True), "ORDER_SHAPE_INVALID"),
        (replace(limit_order("49000"), post_only=True, time_in_force=TimeInForce.IOC), "ORDER_SHAPE_INVALID"),
    ],
)
async def test_order_shape(request_: OrderRequest, code: str) -> None:
    assert judge(make_core(), request_) == code


async def test_price_stale_also_when_there_never_was_one() -> None:
    core = make_core(limits=policy(price_stale_ms="1000"))
    quote(core, "50000", "50001", age_ms=1001)
    assert judge(core, market_order()) == "PRICE_STALE"
    core.marks = type(core.marks)()
    assert judge(core, market_order()) == "PRICE_STALE"


@pytest.mark.parametrize(("bid", "ask"), [("0", "50000"), ("50001", "50000"), ("NaN", "1"), ("1", "Infinity")])
async def test_price_invalid(bid: str, ask: str) -> None:
    core = make_core()
    quote(core, bid, ask)
    assert judge(core, market_order()) == "PRICE_INVALID"


async def test_price_band_names_the_nearest_acceptable_price() -> None:
    core = make_core(limits=policy(price_band_bps="100"))
    assert numbers(core, limit_order("51000")) == {"measured": "200", "limit": "100", "acceptable": "50500"}
    assert judge(core, limit_order("49400")) == "PRICE_BAND"
    assert judge(core, limit_order("49500")) == ""


async def test_a_market_order_into_a_wide_book_is_off_the_band() -> None:
    core = make_core(limits=policy(price_band_bps="100"))
    quote(core, "49000", "51000")
    assert judge(core, market_order()) == "PRICE_BAND"


async def test_reduce_only_cannot_open_or_increase() -> None:
    core = make_core()
    hold(core, "BTC", "0.5", "50000")
    closing = market_order("0.5", side=OrderSide.SELL, reduce_only=True)
    assert judge(core, closing) == ""
    assert judge(core, replace(closing, quantity=D("0.6"))) == "REDUCE_ONLY"
    assert judge(core, market_order(reduce_only=True)) == "REDUCE_ONLY"


async def test_notional_too_small_on_both_markets() -> None:
    core = both_markets()
    assert judge(core, market_order("0.00009")) == "NOTIONAL_TOO_SMALL"
    assert judge(core, market_order("0.00010")) == ""
    assert judge(core, market_order("0.001", market=Market.FUTURES)) == "NOTIONAL_TOO_SMALL"
    assert judge(core, market_order("0.002", market=Market.FUTURES)) == ""


async def test_notional_too_large() -> None:
    core = make_core(limits=policy(max_notional="400"))
    assert judge(core, market_order("0.008")) == ""
    assert numbers(core, market_order("0.00801"))["limit"] == "400"


async def test_insufficient_funds_counts_what_other_orders_hold_back() -> None:
    core = make_core(cash=D("101"), limits=policy(equity_floor="0"))
    fake(core).scripts.append(Script(rest=True))
    assert judge(core, market_order("0.00202")) == "INSUFFICIENT_FUNDS"
    await submit(core, market_order("0.001"), mark_of())
    assert judge(core, market_order("0.001")) == ""
    assert numbers(core, market_order("0.00101"))["acceptable"] == "50.5"


async def test_coins_that_another_order_sells_cannot_be_sold_twice() -> None:
    core = make_core()
    hold(core, "BTC", "0.01", "50000")
    await submit(core, limit_order("50500", "0.006", side=OrderSide.SELL), mark_of())
    assert numbers(core, limit_order("50600", "0.005", side=OrderSide.SELL))["acceptable"] == "0.004"
    assert judge(core, limit_order("50600", "0.004", side=OrderSide.SELL)) == ""


async def test_spot_sells_only_what_is_held() -> None:
    core = make_core()
    assert judge(core, market_order(side=OrderSide.SELL)) == "SHORT_NOT_ALLOWED"
    assert judge(both_markets(), market_order("0.01", side=OrderSide.SELL, market=Market.FUTURES)) == ""


async def test_exposure_of_a_symbol_counts_position_and_working_orders() -> None:
    core = make_core(limits=policy(symbol_exposure_cap="200"))
    hold(core, "BTC", "0.002", "50000")
    await submit(core, limit_order("49000", "0.001"), mark_of())
    assert numbers(core, market_order("0.0011")) == {"measured": "204", "limit": "200", "acceptable": "51"}
    assert judge(core, limit_order("50500", "0.001", side=OrderSide.SELL)) == ""


async def test_total_and_venue_exposure_are_gross_over_symbols() -> None:
    core = make_core(limits=policy(total_exposure_cap="150"))
    hold(core, "ETH", "0.04", "2500")
    assert judge(core, market_order("0.00101")) == "EXPOSURE_TOTAL_CAP"
    core = make_core(limits=policy(venue_exposure_cap="150"))
    hold(core, "ETH", "0.04", "2500")
    assert judge(core, market_order("0.00101")) == "EXPOSURE_VENUE_CAP"


async def test_a_short_and_a_long_do_not_cancel_out_in_the_total() -> None:
    core = make_core(
        venue=FakeVenue(fake(make_core()).clock, markets=(Market.SPOT, Market.FUTURES)),
        limits=policy(total_exposure_cap="250"),
    )
    await submit(core, market_order("0.003", side=OrderSide.SELL, market=Market.FUTURES), mark_of())
    assert core.state.exposure.totals.worst == D("150")
    assert judge(core, market_order("0.0021")) == "EXPOSURE_TOTAL_CAP"


async def test_a_budget_of_zero_means_none() -> None:
    core = make_core()
    apply(
        core.state,
        e.StrategyChanged(at_ms=0, strategy="ma_cross", enabled=True, dry_run=False, budget=D(0), weight=D(1)),
    )
    assert judge(core, market_order(strategy="ma_cross")) == "STRATEGY_BUDGET_EXCEEDED"
    assert judge(core, market_order(strategy="hmm_regime")) == ""


async def test_a_budget_counts_the_strategys_own_positions_only() -> None:
    core = make_core()
    apply(
        core.state,
        e.StrategyChanged(at_ms=0, strategy="ma_cross", enabled=True, dry_run=False, budget=D("120"), weight=D(1)),
    )
    await submit(core, market_order("0.01", strategy="hmm_regime"), mark_of())
    await submit(core, market_order("0.002", strategy="ma_cross"), mark_of())
    assert judge(core, market_order("0.001", strategy="ma_cross")) == "STRATEGY_BUDGET_EXCEEDED"
    assert judge(core, market_order("0.002", side=OrderSide.SELL, strategy="ma_cross")) == ""


async def test_leverage_is_gross_futures_exposure_against_equity() -> None:
    core = make_core(
        venue=FakeVenue(fake(make_core()).clock, markets=(Market.FUTURES,)), limits=policy(leverage_limit="0.01")
    )
    assert judge(core, market_order("0.002", market=Market.FUTURES)) == ""
    core.gate.install(policy(leverage_limit="0.009"))
    assert judge(core, market_order("0.002", market=Market.FUTURES)) in {"LEVERAGE_LIMIT", "INSUFFICIENT_FUNDS"}


async def test_equity_floor_drawdown_and_daily_loss() -> None:
    assert judge(make_core(limits=policy(equity_floor="10001")), market_order()) == "EQUITY_FLOOR"
    core = make_core()
    equity(core, peak="15500")
    assert judge(core, market_order()) == "EQUITY_DRAWDOWN"
    core = make_core(limits=policy(daily_loss="100"))
    equity(core, day_start="10101")
    assert numbers(core, market_order()) == {"measured": "101", "limit": "100", "acceptable": "100"}


async def test_order_rate_is_a_bucket_that_refills_and_follows_a_new_limit_at_once() -> None:
    core = make_core(limits=policy(order_rate_per_min="30"))
    assert [judge(core, market_order()) for _ in range(31)] == [""] * 30 + ["ORDER_RATE_EXCEEDED"]
    fake(core).clock.advance(2_000)
    assert judge(core, market_order()) == ""
    assert judge(core, market_order()) == "ORDER_RATE_EXCEEDED"
    core.gate.install(policy(order_rate_per_min="60"))
    assert judge(core, market_order()) == ""


async def test_a_strategy_has_a_rate_of_its_own() -> None:
    core = make_core(limits=policy(strategy_order_rate_per_min="1"))
    assert judge(core, market_order(strategy="a")) == ""
    assert judge(core, market_order(strategy="a")) == "ORDER_RATE_EXCEEDED"
    assert judge(core, market_order(strategy="b")) == ""


async def test_the_same_order_again_within_the_window_is_a_duplicate() -> None:
    core = make_core(limits=policy(duplicate_window_ms="500"))
    assert judge(core, market_order()) == ""
    assert judge(core, market_order()) == "DUPLICATE_ORDER"
    assert judge(core, market_order("0.002")) == ""
    fake(core).clock.advance(500)
    assert judge(core, market_order()) == ""


async def test_an_order_that_would_meet_an_own_one_is_a_self_trade() -> None:
    core = make_core()
    hold(core, "BTC", "1", "50000")
    await submit(core, limit_order("50500", side=OrderSide.SELL), mark_of())
    assert judge(core, limit_order("50500")) == "SELF_TRADE"
    assert judge(core, market_order()) == "SELF_TRADE"
    assert judge(core, limit_order("50499")) == ""


async def test_the_first_refusal_wins() -> None:
    core = make_core(limits=policy(max_notional="1", trading_enabled="false"))
    assert judge(core, market_order()) == "TRADING_DISABLED"
    apply(core.state, e.TradingHalted(at_ms=0, reason="drill", principal="me"))
    assert judge(core, market_order()) == "TRADING_HALTED"


async def test_reducing_orders_pass_halts_budgets_drawdown_and_rates_but_never_symbol_or_shape() -> None:
    core = make_core(limits=policy(max_notional="1", equity_floor="99999", order_rate_per_min="0"))
    hold(core, "BTC", "1", "50000")
    apply(core.state, e.TradingHalted(at_ms=0, reason="drill", principal="me"))
    equity(core, peak="999999")
    closing = market_order("0.5", side=OrderSide.SELL, reduce_only=True)
    assert judge(core, closing) == ""
    assert judge(core, replace(closing, quantity=D("0.0000001"))) == "QUANTITY_ROUNDS_TO_ZERO"
    core.gate.install(policy(allowed_symbols="ETHUSDT.BINANCE"))
    assert judge(core, closing) == "SYMBOL_NOT_ALLOWED"


async def test_asking_about_an_order_shows_every_rail_and_counts_nothing() -> None:
    core = make_core(limits=policy(order_rate_per_min="1", max_notional="1"))
    for _ in range(3):
        verdicts = check(core, market_order())
        assert len(verdicts) == len(RAILS)
        assert [v.code for v in verdicts if not v.passed] == ["NOTIONAL_TOO_LARGE"]
    assert fake(core).submits == []

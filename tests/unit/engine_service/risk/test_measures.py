"""What each rail shows of an order that is only asked about: the numbers it is judged by, whether it passes or not."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply import apply
from engine_service.domain.ids import Market
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.risk.context import RiskContext
from engine_service.risk.measures import MEASURES, measured
from engine_service.risk.permissions import RAILS, Pace
from tests.fakes.engine import limit_order, mark_of, market_order, policy
from tests.unit.engine_service.risk.contexts import context, core_with, hold, with_book, with_instrument

pytestmark = pytest.mark.anyio
D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
FUTURES = Market.FUTURES


def shown(code: str, ctx: RiskContext, pace: Pace | None = None) -> tuple[str, str]:
    numbers = measured(code, ctx, pace or Pace())
    return numbers["value"], numbers["limit"]


async def busy_core(limits: Mapping[str, object] | None = None) -> EngineCore:
    """0.5 coins held, 0.2 of them for sale at 60,000, and 0.01 short on futures; 10,000 in each wallet."""
    wide = {"price_band_bps": "9999", "equity_floor": "0"}
    core = core_with({**wide, **(limits or {})}, futures=True)
    hold(core, "BTC", "0.5", "50000")
    await submit(core, limit_order("60000", "0.2", side=SELL), mark_of())
    await submit(core, market_order("0.01", side=SELL, market=FUTURES), mark_of())
    return core


async def test_every_rail_shows_what_it_measures() -> None:
    assert set(MEASURES) == {rail.code for rail in RAILS}
    assert measured("NO_RAIL", context(core_with()), Pace()) == {}


async def test_a_plain_order_on_spot() -> None:
    core = await busy_core({"market_collar_bps": "100", "order_rate_per_min": "30", "strategy_budget_default": "13000"})
    ctx = context(core, market_order("0.1"))
    # 0.5 coins held, an order of 0.2 for 60,000 open: the exposure of coins bought is the larger.
    spot, short = 30_000, 500
    expected = {
        "TRADING_HALTED": ("0 in doubt", "1000"),
        "VENUE_BREAKER_OPEN": ("0.0 %", "50 %"),
        "EQUITY_BREAKER_OPEN": ("closed", "10 %"),
        "TRADING_DISABLED": ("true", "true"),
        "STRATEGY_DISABLED": ("no strategy", "true"),
        "SYMBOL_NOT_ALLOWED": ("BTCUSDT.BINANCE", "*"),
        "SYMBOL_QUARANTINED": ("free", "free"),
        "ORDER_SHAPE_INVALID": ("0.1", "0.00001"),
        "PRICE_STALE": ("0", "3600000"),
        "PRICE_INVALID": ("50000", "bid <= ask"),
        "PRICE_BAND": ("0", "9999"),
        "REDUCE_ONLY": ("not reduce-only", "any"),
        "NOTIONAL_TOO_SMALL": ("5000", "5"),
        "NOTIONAL_TOO_LARGE": ("5000", "1000000"),
        "INSUFFICIENT_FUNDS": ("5050", "10000"),
        "SHORT_NOT_ALLOWED": ("no short sale", "any"),
        "EXPOSURE_SYMBOL_CAP": (str(spot), "1000000"),
        "EXPOSURE_TOTAL_CAP": (str(spot + short), "1000000"),
        "EXPOSURE_VENUE_CAP": (str(spot + short), "1000000"),
        "STRATEGY_BUDGET_EXCEEDED": (str(12_000 + short), "13000"),
        "EQUITY_DRAWDOWN": ("0", "35"),
        "DAILY_LOSS": ("0", "1000000"),
        "ORDER_RATE_EXCEEDED": ("30.0 left", "30"),
        "DUPLICATE_ORDER": ("0 recent shapes", "0"),
        "SELF_TRADE": ("1 own orders opposite", "none that it would meet"),
    }
    found = {code: shown(code, ctx) for code in expected}
    assert found == expected
    equity = core.state.exposure.equity
    assert [D(text) for text in shown("LEVERAGE_LIMIT", ctx)] == [D(short), equity * 3]
    assert [D(text) for text in shown("EQUITY_FLOOR", ctx)] == [equity, D(0)]


async def test_a_sale_shows_the_coins_that_are_free_and_those_that_are_held() -> None:
    ctx = context(await busy_core(), market_order("0.1", side=SELL))
    assert shown("INSUFFICIENT_FUNDS", ctx) == ("0.1", "0.3")
    assert shown("SHORT_NOT_ALLOWED", ctx) == ("0.1", "0.5")
    assert shown("SELF_TRADE", ctx) == ("0 own orders opposite", "none that it would meet")
    closing = replace(ctx, request=replace(ctx.request, reduce_only=True))
    assert shown("REDUCE_ONLY", closing) == ("0.1", "0.5")


async def test_a_futures_order_shows_margin_leverage_and_what_can_be_closed() -> None:
    core = await busy_core({"leverage_limit": "2"})
    ctx = context(core, market_order("0.1", side=SELL, market=FUTURES))
    wallet = core.state.portfolio.holding("BINANCE", FUTURES, "USDT")
    assert [D(text) for text in shown("INSUFFICIENT_FUNDS", ctx)] == [D(2500), wallet - 250]
    assert [D(text) for text in shown("LEVERAGE_LIMIT", ctx)] == [D(5500), core.state.exposure.equity * 2]
    assert shown("SHORT_NOT_ALLOWED", ctx) == ("no short sale", "any")
    assert shown("NOTIONAL_TOO_SMALL", ctx) == ("5000", "100")
    closing = context(core, market_order("0.004", market=FUTURES, reduce_only=True))
    assert shown("REDUCE_ONLY", closing) == ("0.004", "0.01")
    assert shown("INSUFFICIENT_FUNDS", closing) == ("no margin", "any")
    assert shown("REDUCE_ONLY", replace(closing, request=replace(closing.request, side=SELL)))[1] == "0"
    assert shown("INSUFFICIENT_FUNDS", replace(ctx, policy=policy(leverage_limit="0"))) == ("no margin", "any")


@pytest.mark.parametrize(
    ("side", "prices", "distance"),
    [
        (BUY, {}, "200"),
        (SELL, {}, "200"),
        (BUY, {"limit_price": D(50500)}, "100"),
        (BUY, {"limit_price": D(50500), "stop_price": D(48500)}, "300"),
        (BUY, {"limit_price": D(48500), "stop_price": D(50500)}, "300"),
    ],
)
async def test_the_distance_is_that_of_the_farthest_price(
    side: OrderSide, prices: dict[str, Any], distance: str
) -> None:
    ctx = context(core_with(), market_order(side=side), **prices)
    assert shown("PRICE_BAND", with_book(ctx, "49000", "51000")) == (distance, "500")


async def test_without_a_mark_there_is_nothing_to_measure() -> None:
    ctx = context(core_with({"price_band_bps": "100"}))
    for without in (replace(ctx, mark=None), with_book(ctx, "2", "1")):
        assert shown("PRICE_INVALID", without) == ("none", "bid <= ask")
        assert shown("PRICE_BAND", without) == ("none", "100")
    assert shown("PRICE_STALE", replace(ctx, mark=None))[0] == "none"
    assert shown("PRICE_STALE", replace(ctx, now_s=ctx.now_s + 0.07))[0] == "70"


async def test_the_smallest_value_is_the_venues_where_that_is_more() -> None:
    ctx = with_instrument(context(core_with(), quote_rate=D(2)), min_notional="20", min_quantity="0.5")
    assert shown("NOTIONAL_TOO_SMALL", ctx)[1] == "40"
    assert shown("NOTIONAL_TOO_SMALL", replace(ctx, quote_rate=None))[1] == "5"
    assert shown("ORDER_SHAPE_INVALID", ctx)[1] == "0.5"


async def test_halts_breakers_and_restrictions_are_shown_by_name() -> None:
    core, pace = core_with({"allowed_symbols": ",".join(f"COIN{n:03}USDT.BINANCE" for n in range(20))}), Pace()
    listed = shown("SYMBOL_NOT_ALLOWED", context(core))[1]
    assert (len(listed), listed[:16]) == (200, "COIN000USDT.BINA")
    held = e.SymbolRestricted(at_ms=0, symbol="BTCUSDT.BINANCE", market=Market.SPOT, code="OVERFILL", reason="x")
    apply(core.state, held)
    apply(core.state, e.TradingHalted(at_ms=0, reason="drill", principal="me"))
    ctx = context(core, policy=policy(trading_enabled="false"))
    for ok in (True, False, False):
        pace.venue("BINANCE").record(ok, ctx.now_s, ctx.policy)
    pace.equity.opened_at_s = ctx.now_s
    assert shown("TRADING_HALTED", ctx)[0] == "halted"
    assert shown("SYMBOL_QUARANTINED", ctx) == ("OVERFILL", "free")
    assert shown("VENUE_BREAKER_OPEN", ctx, pace) == ("66.7 %", "50 %")
    assert shown("EQUITY_BREAKER_OPEN", ctx, pace) == ("open", "10 %")
    assert shown("TRADING_DISABLED", ctx) == ("false", "true")


async def test_a_strategys_own_budget_and_the_fall_of_equity_are_shown() -> None:
    core = core_with()
    apply(
        core.state,
        e.StrategyChanged(at_ms=0, strategy="mine", enabled=True, dry_run=False, budget=D("60"), weight=D(1)),
    )
    assert shown("STRATEGY_BUDGET_EXCEEDED", context(core, market_order("0.001", strategy="mine"))) == ("50", "60")
    assert shown("STRATEGY_DISABLED", context(core, market_order("0.001", strategy="mine"))) == ("true", "true")
    none = D(0)
    for peak, share in (("12500", "20"), ("0", "0"), ("16000", "37.5")):
        apply(
            core.state,
            e.EquityRecorded(
                at_ms=1,
                equity=D(10_000),
                peak=D(peak),
                day_start=D("10250.5"),
                realised_pnl=none,
                unrealised_pnl=none,
                fees=none,
                funding=none,
                transfers=none,
            ),
        )
        assert shown("EQUITY_DRAWDOWN", context(core)) == (share, "35")
    assert shown("DAILY_LOSS", context(core))[0] == "250.5"


async def test_a_small_account_can_fall_too() -> None:
    core = core_with()
    zero = D(0)
    event = e.EquityRecorded(
        at_ms=1,
        equity=zero,
        peak=D("0.5"),
        day_start=zero,
        realised_pnl=zero,
        unrealised_pnl=zero,
        fees=zero,
        funding=zero,
        transfers=zero,
    )
    apply(core.state, event)
    assert shown("EQUITY_DRAWDOWN", context(core))[0] == str(-1_999_900)


async def test_long_numbers_are_cut_at_eight_decimals_and_great_ones_are_not() -> None:
    ctx = context(core_with(), quantity=D(1), price=D(1) / 3)
    assert shown("NOTIONAL_TOO_LARGE", ctx)[0] == "0.33333333"
    assert shown("NOTIONAL_TOO_LARGE", replace(ctx, price=D("1000000000000000000.000000001")))[0].endswith(".000000001")


REFUSED: list[tuple[str, dict[str, str], OrderRequest]] = [
    ("NOTIONAL_TOO_SMALL", {}, market_order("0.00002")),
    ("NOTIONAL_TOO_LARGE", {"max_notional": "40"}, market_order()),
    ("INSUFFICIENT_FUNDS", {}, market_order("0.3")),
    ("INSUFFICIENT_FUNDS", {}, market_order("0.4", side=SELL)),
    ("INSUFFICIENT_FUNDS", {"leverage_limit": "2"}, market_order("0.4", market=FUTURES, side=SELL)),
    ("SHORT_NOT_ALLOWED", {}, market_order("0.6", side=SELL)),
    ("REDUCE_ONLY", {}, market_order("0.6", side=SELL, reduce_only=True)),
    ("PRICE_BAND", {"price_band_bps": "100"}, limit_order("51000")),
    ("EXPOSURE_SYMBOL_CAP", {"symbol_exposure_cap": "25010"}, market_order()),
    ("EXPOSURE_TOTAL_CAP", {"total_exposure_cap": "25510"}, market_order()),
    ("EXPOSURE_VENUE_CAP", {"venue_exposure_cap": "25510"}, market_order()),
    ("STRATEGY_BUDGET_EXCEEDED", {"strategy_budget_default": "12510"}, market_order(side=SELL)),
    ("LEVERAGE_LIMIT", {"leverage_limit": "0.1"}, market_order("0.1", side=SELL, market=FUTURES)),
]


@pytest.mark.parametrize(("code", "limits", "request_"), REFUSED)
async def test_what_is_shown_is_what_a_refusal_names(code: str, limits: dict[str, str], request_: OrderRequest) -> None:
    core = await busy_core()
    strict = policy(**{"price_band_bps": "9999", "equity_floor": "0", **limits})
    ctx = context(core, request_, policy=strict)
    rail = next(rail for rail in RAILS if rail.code == code)
    refusal = rail.ask(ctx, Pace())
    assert refusal is not None
    assert shown(code, ctx) == (refusal.numbers["measured"], refusal.numbers["limit"])


async def test_a_stop_order_has_the_distance_of_its_trigger() -> None:
    stop = replace(market_order(side=SELL), type=OrderType.STOP_MARKET)
    assert shown("PRICE_BAND", context(core_with(), stop, stop_price=D(49000))) == ("200", "500")

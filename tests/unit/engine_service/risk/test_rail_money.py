"""The last value that passes and the first that does not: funds, exposure, equity, own orders."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply import apply
from engine_service.domain.ids import Market
from engine_service.domain.marks import Mark
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.risk import checks
from engine_service.risk.reservations import Reservation, reserve
from tests.fakes.engine import limit_order, make_core, mark_of, market_order, policy
from tests.unit.engine_service.risk.contexts import (
    BUY,
    SELL,
    D,
    context,
    core_with,
    hold,
    numbers,
    says,
    with_book,
)

pytestmark = pytest.mark.anyio


# --- funds --------------------------------------------------------------------------------------------------


async def test_a_buy_costs_what_it_may_cost_at_worst() -> None:
    core = core_with({"market_collar_bps": "100"})
    assert numbers(checks.insufficient_funds, context(core, limit_order("50000", "0.2"))) == {}
    assert numbers(checks.insufficient_funds, context(core, limit_order("50000", "0.20001"))) == says(
        "10000.5", "10000", "10000"
    )
    stop = replace(market_order(), type=OrderType.STOP_MARKET)
    assert context(core, stop, stop_price=D(60000)).worst_price == D(60600)
    assert context(core).worst_price == D(50500)
    assert context(core, price=None).worst_price == 0


async def test_coins_are_short_of_what_other_orders_hold_back_and_an_uncovered_sale_is_another_rails() -> None:
    core = core_with()
    hold(core, "BTC", "0.01", "50000")
    await submit(core, limit_order("50500", "0.006", side=SELL), mark_of())
    sale = limit_order("50600", "0.004", side=SELL)
    assert numbers(checks.insufficient_funds, context(core, sale)) == {}
    assert numbers(checks.insufficient_funds, context(core, replace(sale, quantity=D("0.01")))) == says(
        "0.01", "0.004", "0.004"
    )
    assert numbers(checks.insufficient_funds, context(core, replace(sale, quantity=D("0.01001")))) == {}


async def test_what_a_short_sale_is_told_to_sell_instead_is_free_to_be_sold() -> None:
    core = core_with()
    hold(core, "BTC", "0.01", "50000")
    await submit(core, limit_order("50500", "0.006", side=SELL), mark_of())
    sale = limit_order("50600", "0.02", side=SELL)
    told = numbers(checks.short_not_allowed, context(core, sale))
    assert told == says("0.02", "0.01", "0.004")
    accepted = context(core, replace(sale, quantity=D(told["acceptable"])))
    assert numbers(checks.short_not_allowed, accepted) == numbers(checks.insufficient_funds, accepted) == {}


@pytest.mark.parametrize("asked", ["40000", "60000"])
async def test_the_price_that_the_band_names_passes_the_band(asked: str) -> None:
    core = core_with({"price_band_bps": "333"})
    ctx = with_book(context(core, limit_order(asked)), "50000.03", "50000.08")
    told = numbers(checks.price_band, ctx)["acceptable"]
    assert numbers(checks.price_band, replace(ctx, limit_price=D(told))) == {}
    further = D(told) + (D("0.01") if asked == "60000" else D("-0.01"))
    assert numbers(checks.price_band, replace(ctx, limit_price=further)) != {}


async def test_margin_is_the_wallet_less_what_positions_and_orders_take_at_the_leverage_limit() -> None:
    core = core_with({"leverage_limit": "2", "max_notional": "1000000"}, futures=True)
    order = market_order("0.400", market=Market.FUTURES)
    ctx = context(core, order)
    assert numbers(checks.insufficient_funds, ctx) == {}
    more = context(core, replace(order, quantity=D("0.401")))
    assert numbers(checks.insufficient_funds, more) == says("10025", "10000", "20000")
    assert numbers(checks.insufficient_funds, replace(more, request=replace(order, reduce_only=True))) == {}
    assert numbers(checks.insufficient_funds, replace(more, policy=policy(leverage_limit="0"))) == {}
    half = context(core, replace(order, quantity=D("0.201")), policy=policy(leverage_limit="1"))
    assert numbers(checks.insufficient_funds, half) == says("10050", "10000", "10000")
    part = context(core, replace(order, quantity=D("0.101")), policy=policy(leverage_limit="0.5"))
    assert numbers(checks.insufficient_funds, part) == says("10100", "10000", "5000")
    doubled = replace(more, quote_rate=D(2), quantity=D("0.401"))
    assert numbers(checks.insufficient_funds, doubled) == says("20050", "20000", "40000")
    assert numbers(checks.insufficient_funds, replace(more, quote_rate=None)) == {}


async def test_margin_counts_the_position_that_is_there_and_only_what_an_order_adds() -> None:
    core = core_with({"leverage_limit": "2", "max_notional": "1000000"}, futures=True)
    hold(core, "ETH", "1", "2500")  # what is held elsewhere takes no margin
    await submit(core, market_order("0.160", market=Market.FUTURES), mark_of())
    wallet = core.state.portfolio.holding("BINANCE", Market.FUTURES, "USDT")
    free = wallet - D(8000) / 2
    order = market_order("0.300", market=Market.FUTURES)
    said = numbers(checks.insufficient_funds, context(core, order))
    assert (D(said["measured"]), D(said["limit"]), D(said["acceptable"])) == (D(7500), free, free * 2)
    assert numbers(checks.insufficient_funds, context(core, replace(order, quantity=D("0.239")))) == {}
    assert numbers(checks.insufficient_funds, context(core, replace(order, side=SELL, quantity=D("0.310")))) == {}
    strict = context(core, order, policy=policy(leverage_limit="0.1"))
    assert numbers(checks.insufficient_funds, strict)["acceptable"] == "0"


@pytest.mark.parametrize(
    ("quantity", "said"),
    [("0.5", {}), ("0.51", says("0.51", "0.5000001", "0.5")), ("0.50001", says("0.50001", "0.5000001", "0.5"))],
)
async def test_spot_sells_to_the_last_step_of_what_is_held(quantity: str, said: dict[str, str]) -> None:
    core = core_with(futures=True)
    hold(core, "BTC", "0.5000001", "50000")
    sale = market_order(quantity, side=SELL)
    assert numbers(checks.short_not_allowed, context(core, sale)) == said
    assert numbers(checks.short_not_allowed, context(core, replace(sale, side=BUY))) == {}
    assert numbers(checks.short_not_allowed, context(core, market_order("9", side=SELL, market=Market.FUTURES))) == {}


async def test_a_sale_of_what_is_not_held_names_zero() -> None:
    assert numbers(checks.short_not_allowed, context(core_with(), market_order(side=SELL))) == says("0.001", "0", "0")


# --- exposure -----------------------------------------------------------------------------------------------

CAPS = {
    "symbol_exposure_cap": checks.symbol_exposure,
    "total_exposure_cap": checks.total_exposure,
    "venue_exposure_cap": checks.venue_exposure,
    "strategy_budget_default": checks.strategy_budget,
}


@pytest.mark.parametrize("cap", list(CAPS))
async def test_a_cap_is_reached_but_not_passed_and_counts_what_there_is(cap: str) -> None:
    core = core_with({cap: "150"})
    await submit(core, market_order("0.002"), mark_of())
    rail = CAPS[cap]
    assert numbers(rail, context(core, market_order("0.001"))) == {}
    assert numbers(rail, context(core, market_order("0.0011"))) == says("155", "150", "50")
    assert numbers(rail, context(core, market_order("0.001", side=SELL), policy=policy(**{cap: "10"}))) == {}
    assert numbers(rail, context(core, market_order("0.001"), policy=policy(**{cap: "99"}))) == says("150", "99", "0")


@pytest.mark.parametrize(("cap", "counted"), [("symbol_exposure_cap", False), ("total_exposure_cap", True)])
async def test_another_symbol_counts_in_the_total_and_not_in_the_symbol(cap: str, counted: bool) -> None:
    core = core_with({cap: "150"})
    await submit(core, market_order("0.04", symbol="ETHUSDT.BINANCE"), mark_of())
    assert (CAPS[cap](context(core, market_order("0.0011"))) is not None) is counted


async def test_another_venue_counts_in_the_total_and_not_in_the_venue() -> None:
    core = core_with({"venue_exposure_cap": "150", "total_exposure_cap": "150"})
    elsewhere = e.PositionAdopted(
        at_ms=0, symbol="BTCUSDT.BYBIT", quote="USDT", quantity=D("0.002"), price=D(50000), quote_rate=D(1)
    )
    apply(core.state, elsewhere)
    assert numbers(checks.total_exposure, context(core, market_order("0.0011"))) == says("155", "150", "50")
    assert numbers(checks.venue_exposure, context(core, market_order("0.0011"))) == {}


async def test_a_strategys_own_budget_is_held_against_what_it_holds() -> None:
    core = core_with({"strategy_budget_default": "1000"})
    budget = e.StrategyChanged(at_ms=0, strategy="mine", enabled=True, dry_run=False, budget=D("60"), weight=D(1))
    apply(core.state, budget)
    await submit(core, market_order("0.001", strategy="mine"), mark_of())
    assert numbers(checks.strategy_budget, context(core, market_order("0.001", strategy="mine"))) == says(
        "100", "60", "10"
    )
    assert numbers(checks.strategy_budget, context(core, market_order("0.0002", strategy="mine"))) == {}
    assert numbers(checks.strategy_budget, context(core, market_order("0.001", strategy="other"))) == {}


async def test_leverage_is_held_against_equity_with_what_is_open() -> None:
    core = core_with({"leverage_limit": "0.5", "max_notional": "1000000"}, futures=True)
    hold(core, "ETH", "0.01", "2500")
    await submit(core, market_order("0.100", market=Market.FUTURES), mark_of())
    limit = core.state.exposure.equity / 2
    assert D(9950) < limit < D(10050)
    order = market_order("0.099", market=Market.FUTURES)
    assert numbers(checks.leverage, context(core, order)) == {}
    said = numbers(checks.leverage, context(core, replace(order, quantity=D("0.101"))))
    assert (D(said["measured"]), D(said["limit"]), D(said["acceptable"])) == (D(10050), limit, limit - 5000)
    assert numbers(checks.leverage, context(core, replace(order, side=SELL, quantity=D("0.200")))) == {}
    assert numbers(checks.leverage, context(core, market_order("9"))) == {}


# --- equity -------------------------------------------------------------------------------------------------


def seen(core: EngineCore, *, peak: str = "10000", day_start: str = "10000") -> None:
    none = D(0)
    apply(
        core.state,
        e.EquityRecorded(
            at_ms=core.clock.now_ms(),
            equity=D("10000"),
            peak=D(peak),
            day_start=D(day_start),
            realised_pnl=none,
            unrealised_pnl=none,
            fees=none,
            funding=none,
            transfers=none,
        ),
    )


@pytest.mark.parametrize(("floor", "said"), [("10000", {}), ("10000.01", says("10000", "10000.01", "10000.01"))])
async def test_equity_at_its_floor_still_trades(floor: str, said: dict[str, str]) -> None:
    assert numbers(checks.equity_floor, context(core_with({"equity_floor": floor}))) == said


@pytest.mark.parametrize(
    ("peak", "said"),
    [("12499", {}), ("12500", says("20", "20", "20")), ("20000", says("50", "20", "20")), ("0", {}), ("0.5", {})],
)
async def test_a_drawdown_is_measured_from_the_peak(peak: str, said: dict[str, str]) -> None:
    core = core_with({"max_drawdown_pct": "20"})
    assert checks.equity_drawdown(context(core)) is None
    seen(core, peak=peak)
    assert numbers(checks.equity_drawdown, context(core)) == said


async def test_a_small_peak_is_a_peak() -> None:
    core = make_core(cash=D("0.1"), limits=policy(max_drawdown_pct="20"))
    seen(core, peak="0.5")
    assert numbers(checks.equity_drawdown, context(core)) == says("80", "20", "20")


@pytest.mark.parametrize(("start", "said"), [("10100", {}), ("10100.01", says("100.01", "100", "100")), ("9000", {})])
async def test_the_loss_of_the_day_is_counted_from_its_start(start: str, said: dict[str, str]) -> None:
    core = core_with({"daily_loss": "100"})
    assert checks.daily_loss(context(core)) is None
    seen(core, day_start=start)
    assert numbers(checks.daily_loss, context(core)) == said


# --- own orders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resting", "price", "asked", "meets"),
    [
        (SELL, "50500", limit_order("50500"), True),
        (SELL, "50500", limit_order("50499.99"), False),
        (SELL, "50500", market_order(), True),
        (BUY, "49500", limit_order("49500", side=SELL), True),
        (BUY, "49500", limit_order("49500.01", side=SELL), False),
        (BUY, "49500", market_order(side=SELL), True),
        (BUY, "49500", limit_order("50000"), False),
        (BUY, "49500", market_order(), False),
        (BUY, "49500", replace(market_order(side=SELL), type=OrderType.STOP_MARKET, stop_price=D(49000)), False),
    ],
)
async def test_an_order_never_meets_an_own_one(
    resting: OrderSide, price: str, asked: OrderRequest, meets: bool
) -> None:
    core = core_with()
    hold(core, "BTC", "1", "50000")
    made = (await submit(core, limit_order(price, side=resting), mark_of())).order
    found = checks.self_trade(context(core, asked))
    assert (found is not None) is meets
    if found is not None:
        own, nearest = made.client_order_id, D(price) - D("0.01") * asked.side.sign
        written = "MARKET" if asked.limit_price is None else str(asked.limit_price)
        assert found.numbers == says(written, price, str(nearest), own_order=own)
        there = limit_order(str(nearest), side=asked.side)
        assert checks.self_trade(context(core, there)) is None


async def test_a_stop_that_sleeps_and_a_market_order_under_way_hide_no_order_behind_them() -> None:
    core = core_with()
    hold(core, "BTC", "1", "50000")
    sleeping = replace(limit_order("50500", side=SELL), type=OrderType.STOP_LIMIT, stop_price=D(49000))
    await submit(core, sleeping, mark_of())
    assert checks.self_trade(context(core, limit_order("50500"))) is None
    await submit(core, limit_order("50400", side=SELL), mark_of())
    assert checks.self_trade(context(core, limit_order("50500"))) is not None


# --- what is held back --------------------------------------------------------------------------------------


async def test_a_reservation_holds_back_what_the_order_can_take() -> None:
    core = core_with({"market_collar_bps": "100"}, futures=True)
    hold(core, "BTC", "1", "50000")
    version = core.gate.policy.version
    unit = D(50000)
    bought = reserve(context(core))
    assert bought == Reservation(unit_value=unit, asset="USDT", per_unit=D(50500), policy_version=version)
    sold = reserve(context(core, market_order(side=SELL)))
    assert sold == Reservation(unit_value=unit, asset="BTC", per_unit=D(1), policy_version=version)
    future = reserve(context(core, market_order(market=Market.FUTURES)))
    assert future == Reservation(unit_value=unit, asset="", per_unit=D(0), policy_version=version)


async def test_a_market_order_takes_any_price_and_a_position_is_coins_or_contracts() -> None:
    core = core_with(futures=True)
    hold(core, "BTC", "0.25", "50000")
    await submit(core, market_order("0.01", side=SELL, market=Market.FUTURES), mark_of())
    assert context(core).signed_position == D("0.25")
    assert context(core, market_order(market=Market.FUTURES)).signed_position == D("-0.01")
    assert context(core).is_market_order is True
    assert context(core, limit_order("50000")).is_market_order is False


async def test_a_mark_is_of_the_moment_it_came() -> None:
    mark = Mark(symbol="BTCUSDT.BINANCE", market=Market.SPOT, bid=D(1), ask=D(3), at_s=5)
    assert (mark.price, mark.is_valid) == (D(2), True)

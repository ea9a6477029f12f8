"""The last value that passes and the first that does not: shapes, prices and sizes, with a refusal's numbers."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from msgspec.structs import replace

from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.execution.submit import submit
from engine_service.risk import checks
from tests.fakes.engine import limit_order, mark_of, market_order
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
    with_instrument,
)

pytestmark = pytest.mark.anyio


# --- how a refusal writes its numbers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (D(1) / 3, "0.33333333"),
        (D("0.12345678"), "0.12345678"),
        (D("0.123456785"), "0.12345678"),
        (D("-2.0000000001"), "-2"),
        (D("999999999999999999.000000001"), "999999999999999999"),
        (D("1000000000000000001.000000001"), "1000000000000000001.000000001"),
        (D("-1000000000000000001.000000001"), "-1000000000000000001.000000001"),
        (D("NaN"), "NaN"),
        (7, "7"),
        ("none", "none"),
    ],
)
def test_a_refusal_writes_at_most_eight_decimals(value: object, written: str) -> None:
    assert checks.refused("X", "why", value, D(1)).numbers == says(written, "1")


def test_the_callers_own_rounding_changes_no_refusal() -> None:
    with localcontext() as own:
        own.rounding = ROUND_HALF_UP
        assert checks.refused("X", "why", D("0.123456785"), D(1)).numbers["measured"] == "0.12345678"


def test_a_refusal_leaves_out_what_there_is_not() -> None:
    assert checks.refused("X", "why", "a", "", 0).numbers == {"measured": "a", "acceptable": "0"}


# --- shape --------------------------------------------------------------------------------------------------

RULES = {"min_quantity": "0.001", "market_min_quantity": "0.005", "max_quantity": "10", "market_max_quantity": "2"}


@pytest.mark.parametrize(
    ("rules", "market", "quantity", "limit"),
    [
        ({}, "0.005", "", ""),
        ({}, "0.0049", "", "0.005"),
        ({}, "2", "", ""),
        ({}, "2.1", "", "2"),
        ({}, "", "0.001", ""),
        ({}, "", "0.0009", "0.001"),
        ({}, "", "10", ""),
        ({}, "", "10.1", "10"),
        ({"min_quantity": "0.01"}, "0.008", "", "0.01"),
        ({"market_max_quantity": "0"}, "10", "", ""),
        ({"market_max_quantity": "0"}, "10.1", "", "10"),
        ({"market_max_quantity": "12"}, "10.1", "", "10"),
        ({"max_quantity": "0"}, "2.1", "", "2"),
        ({"max_quantity": "0"}, "", "99999", ""),
        ({"max_quantity": "0", "market_max_quantity": "0"}, "99999", "", ""),
        ({"max_quantity": "0.5"}, "", "0.6", "0.5"),
        ({"max_quantity": "0.4", "market_max_quantity": "0.5"}, "0.45", "", "0.4"),
        ({"max_quantity": "0", "market_max_quantity": "0.5"}, "0.6", "", "0.5"),
    ],
)
async def test_sizes_end_where_the_venue_says_with_bounds_of_their_own_for_market_orders(
    rules: dict[str, str], market: str, quantity: str, limit: str
) -> None:
    request = market_order() if market else limit_order("50000")
    ctx = with_instrument(context(core_with(), request, quantity=D(market or quantity)), **(RULES | rules))
    assert numbers(checks.order_shape, ctx) == ({} if not limit else says(market or quantity, limit, limit))


@pytest.mark.parametrize(("smallest", "acceptable"), [("0.001", "0.01"), ("0.1", "0.1")])
async def test_a_quantity_of_nothing_names_the_smallest_that_is_something(smallest: str, acceptable: str) -> None:
    ctx = with_instrument(context(core_with(), quantity=D(0)), min_quantity=smallest, step="0.01")
    found = checks.order_shape(ctx)
    assert found is not None
    assert (found.code, dict(found.numbers)) == ("QUANTITY_ROUNDS_TO_ZERO", says("0", "0.01", acceptable))


PRICES = {
    OrderType.MARKET: (False, False),
    OrderType.LIMIT: (True, False),
    OrderType.STOP_MARKET: (False, True),
    OrderType.TAKE_PROFIT_MARKET: (False, True),
    OrderType.STOP_LIMIT: (True, True),
    OrderType.TAKE_PROFIT_LIMIT: (True, True),
}


@pytest.mark.parametrize("order_type", list(OrderType))
@pytest.mark.parametrize("limit", [True, False])
@pytest.mark.parametrize("stop", [True, False])
async def test_each_order_type_takes_its_own_prices_and_says_which(
    order_type: OrderType, limit: bool, stop: bool
) -> None:
    prices = {"limit_price": D(50000) if limit else None, "stop_price": D(50000) if stop else None}
    found = checks.order_shape(context(core_with(), replace(market_order(), type=order_type), **prices))
    wants_limit, wants_stop = PRICES[order_type]
    if (wants_limit, wants_stop) == (limit, stop):
        assert found is None
        return
    assert found is not None
    words = ("needs" if wants_limit else "takes no") + " limit price"
    if wants_limit == limit:
        words = ("needs a" if wants_stop else "takes no") + " stop price"
    assert (found.code, found.reason) == ("ORDER_SHAPE_INVALID", f"this order type {words}")
    assert found.numbers == {"measured": order_type.value}


@pytest.mark.parametrize(("price", "passes"), [("0.01", True), ("0.5", True), ("0", False), ("-1", False)])
async def test_a_price_is_positive(price: str, passes: bool) -> None:
    limit = context(core_with(), limit_order("50000"), limit_price=D(price))
    stop = context(core_with(), replace(market_order(), type=OrderType.STOP_MARKET), stop_price=D(price))
    for ctx in (limit, stop):
        assert numbers(checks.order_shape, ctx) == ({} if passes else says(price, "0.01"))


# --- prices -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age_ms", "said"), [(1000, {}), (1001, says("1001", "1000", "1000")), (-5, {})])
async def test_a_mark_is_stale_one_millisecond_after_its_time(age_ms: int, said: dict[str, str]) -> None:
    ctx = context(core_with({"price_stale_ms": "1000"}))
    assert ctx.mark is not None
    assert numbers(checks.price_stale, replace(ctx, now_s=ctx.mark.at_s + age_ms / 1000)) == said
    assert numbers(checks.price_stale, replace(ctx, mark=None)) == says("none", "1000")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, {}),
        ({"price": D("0.5")}, {}),
        ({"mark": None}, says("none", "bid <= ask")),
        ({"quote_rate": None}, says("none", "a price")),
        ({"price": None}, says("none", "a price")),
        ({"price": D(0)}, says("none", "a price")),
        ({"price": D(-1)}, says("none", "a price")),
    ],
)
async def test_without_a_price_or_a_rate_nothing_can_be_judged(changes: dict[str, Any], said: dict[str, str]) -> None:
    assert numbers(checks.price_invalid, context(core_with(), **changes)) == said


@pytest.mark.parametrize(
    ("side", "limit", "stop", "said"),
    [
        (BUY, "50500", None, {}),
        (BUY, "50500.01", None, says("100.002", "100", "50500")),
        (BUY, "49500", None, {}),
        (BUY, "49499.99", None, says("100.002", "100", "49500")),
        (SELL, "50000", "51000", says("200", "100", "50500")),
        (SELL, "51000", "50000", says("200", "100", "50500")),
        (BUY, None, None, says("200", "100", "50500")),
        (SELL, None, None, says("200", "100", "49500")),
    ],
)
async def test_the_band_is_around_the_mark_and_a_market_order_is_judged_by_its_touch(
    side: OrderSide, limit: str | None, stop: str | None, said: dict[str, str]
) -> None:
    request = replace(market_order(), side=side)
    prices = {"limit_price": None if limit is None else D(limit), "stop_price": None if stop is None else D(stop)}
    ctx = with_book(context(core_with({"price_band_bps": "100"}), request, **prices), "49000", "51000")
    assert numbers(checks.price_band, ctx) == said


async def test_the_edge_of_the_band_is_a_price_the_venue_takes_and_never_beyond_it() -> None:
    ctx = with_book(
        context(core_with({"price_band_bps": "333"}), limit_order("60000"), limit_price=D("60000")), "49999", "50001"
    )
    coarse = with_instrument(ctx, tick="10")
    assert numbers(checks.price_band, coarse)["acceptable"] == "51660"


async def test_a_missing_or_broken_mark_is_no_matter_of_the_band() -> None:
    far = context(core_with(), limit_order("1"))
    assert checks.price_band(replace(far, mark=None)) is None
    assert checks.price_band(with_book(far, "2", "1")) is None


# --- reducing and values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "position", "quantity", "said"),
    [
        (SELL, "0.5", "0.5", {}),
        (SELL, "0.5", "0.51", says("0.51", "0.5", "0.5")),
        (SELL, "0.5000001", "0.6", says("0.6", "0.5000001", "0.5")),
        (BUY, "0.5", "0.001", says("0.001", "0", "0")),
        (SELL, "0", "0.001", says("0.001", "0", "0")),
    ],
)
async def test_reducing_ends_where_the_position_ends(
    side: OrderSide, position: str, quantity: str, said: dict[str, str]
) -> None:
    core = core_with()
    if D(position):
        hold(core, "BTC", position, "50000")
    request = market_order(quantity, side=side, reduce_only=True)
    assert numbers(checks.reduce_only, context(core, request)) == said
    assert checks.reduce_only(context(core, replace(request, reduce_only=False))) is None


async def test_a_short_is_reduced_by_buying() -> None:
    core = core_with(futures=True)
    await submit(core, market_order("0.01", side=SELL, market=Market.FUTURES), mark_of())
    closing = market_order("0.01", market=Market.FUTURES, reduce_only=True)
    assert checks.reduce_only(context(core, closing)) is None
    assert numbers(checks.reduce_only, context(core, replace(closing, quantity=D("0.011")))) == says(
        "0.011", "0.01", "0.01"
    )


@pytest.mark.parametrize(
    ("market", "reducing", "smallest", "value", "limit"),
    [
        (Market.SPOT, False, "2", "5", ""),
        (Market.SPOT, False, "2", "4.99", "5"),
        (Market.SPOT, False, "20", "40", ""),
        (Market.SPOT, False, "20", "39.99", "40"),
        (Market.SPOT, True, "2", "4.99", "5"),
        (Market.FUTURES, False, "3", "100", ""),
        (Market.FUTURES, False, "3", "99.99", "100"),
        (Market.FUTURES, True, "3", "0.01", ""),
    ],
)
async def test_the_smallest_value_is_the_larger_of_ours_and_the_venues_in_the_reporting_currency(
    market: Market, reducing: bool, smallest: str, value: str, limit: str
) -> None:
    request = market_order("0.01", market=market, reduce_only=reducing)
    ctx = context(core_with(futures=True), request, quantity=D(1), price=D(value) / 2, quote_rate=D(2))
    said = numbers(checks.notional_too_small, with_instrument(ctx, min_notional=smallest))
    assert said == ({} if not limit else says(value, limit, limit))


async def test_a_quote_asset_without_a_rate_is_worth_nothing_and_so_too_little() -> None:
    ctx = with_instrument(context(core_with(), quote_rate=None), min_notional="20")
    assert numbers(checks.notional_too_small, ctx) == says("0", "5", "5")


@pytest.mark.parametrize(("value", "said"), [("400", {}), ("400.01", says("400.01", "400", "400"))])
async def test_the_largest_value_of_an_order_passes_and_a_cent_more_does_not(value: str, said: dict[str, str]) -> None:
    ctx = context(core_with({"max_notional": "400"}), quantity=D(1), price=D(value))
    assert numbers(checks.notional_too_large, ctx) == said


@pytest.mark.parametrize(
    ("side", "limit", "may"),
    [
        (BUY, None, [True, True, True]),
        (SELL, None, [True, True, True]),
        (BUY, D(100), [True, True, False]),
        (SELL, D(100), [False, True, True]),
    ],
)
async def test_a_limit_says_at_which_prices_an_order_trades(
    side: OrderSide, limit: Decimal | None, may: list[bool]
) -> None:
    core = core_with()
    ctx = context(core, market_order(side=side), limit_price=limit)
    assert [ctx.may_trade_at(D(price)) for price in (99, 100, 101)] == may

"""The paper exchange: what is taken, what trades, what it costs, what is left."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType, TimeInForce
from engine_service.venues.paper import exchange as exchange_module
from engine_service.venues.paper.account import FuturesAccount, PaperAccount, SpotAccount
from engine_service.venues.paper.checks import PaperRefusal
from engine_service.venues.paper.exchange import PaperExchange
from engine_service.venues.paper.fill_model import Book, Costs, Level, PriceBar
from tests.unit.engine_service.venues.builders import bitcoin, limit_order, market_order

D = Decimal
SYMBOL = "BTCUSDT.BINANCE"
BOOK = Book((Level(D(100), D(1)), Level(D(99), D(2))), (Level(D(101), D(1)), Level(D(102), D(2))), 5)
COSTS = Costs(half_spread_bps=D(0), taker_fee_bps=D(10), maker_fee_bps=D(2))


def exchange(account: PaperAccount | None = None, **rules: Any) -> PaperExchange:
    funded = account or SpotAccount({"USDT": D(1000), "BTC": D(5)})
    made = PaperExchange("BINANCE", funded, [bitcoin(**rules)], COSTS)
    made.on_book(SYMBOL, BOOK)
    return made


def small(**changes: Any) -> Order:
    return market_order(**{"quantity": D(1), **changes})


def resting(**changes: Any) -> Order:
    return limit_order(**{"quantity": D(1), "limit_price": D(99), **changes})


def test_a_market_order_pays_the_ask_and_the_taker_fee() -> None:
    paper = exchange()
    done = paper.place(small(quantity=D(2)), 7)
    assert done.status is OrderStatus.FILLED
    assert [(fill.price, fill.quantity, fill.fee) for fill in done.fills] == [
        (D(101), D(1), D("0.101")),
        (D(102), D(1), D("0.102")),
    ]
    assert paper.account.cash == {"USDT": D(1000) - D(203) - D("0.203"), "BTC": D(7)}


def test_the_same_displayed_size_is_not_sold_twice() -> None:
    paper = exchange()
    paper.place(small(client_order_id="one"), 7)
    second = paper.place(small(client_order_id="two"), 7)
    assert second.fills[0].price == D(102)


def test_an_order_larger_than_the_book_ends_with_what_it_got() -> None:
    done = exchange().place(small(quantity=D(5)), 7)
    assert (done.status, done.executed) == (OrderStatus.EXPIRED, D(3))


def test_fill_or_kill_is_all_or_nothing_and_immediate_or_cancel_takes_what_is_there() -> None:
    killed = exchange().place(resting(limit_price=D(101), quantity=D(2), time_in_force=TimeInForce.FOK), 7)
    assert (killed.status, killed.fills) == (OrderStatus.EXPIRED, [])
    part = exchange().place(resting(limit_price=D(101), quantity=D(2), time_in_force=TimeInForce.IOC), 7)
    assert (part.status, part.executed) == (OrderStatus.EXPIRED, D(1))


def test_the_rest_of_a_limit_order_rests_and_trades_at_its_own_price_as_maker() -> None:
    paper = exchange()
    order = paper.place(resting(limit_price=D(101), quantity=D(2)), 7)
    assert (order.status, order.executed) == (OrderStatus.PARTIALLY_FILLED, D(1))
    (report,) = paper.on_print(SYMBOL, Level(D("100.5"), D(4)), 9)
    assert report.fill is not None
    assert (report.status, report.fill.price, report.fill.fee) == (OrderStatus.FILLED, D(101), D("0.0202"))


def test_a_resting_order_locks_its_cost_and_a_cancel_gives_it_back() -> None:
    paper = exchange()
    paper.place(resting(quantity=D(5)), 7)
    assert paper.account.free("USDT") == D(505)
    with pytest.raises(PaperRefusal, match="VENUE_INSUFFICIENT_FUNDS"):
        paper.place(small(client_order_id="two", quantity=D(6)), 7)
    paper.cancel("ab12", 8)
    assert paper.account.free("USDT") == D(1000)


REFUSALS = [
    (small(symbol="NOSUCH.BINANCE"), "VENUE_BAD_REQUEST"),
    (small(quantity=D("0.000001")), "VENUE_FILTER_FAILURE"),
    (resting(limit_price=D("99.001")), "VENUE_FILTER_FAILURE"),
    (small(quantity=D("0.01")), "VENUE_FILTER_FAILURE"),
    (small(quantity=D(50)), "VENUE_INSUFFICIENT_FUNDS"),
    (small(side=OrderSide.SELL, quantity=D(6)), "VENUE_INSUFFICIENT_FUNDS"),
    (resting(limit_price=D(101), post_only=True), "VENUE_WOULD_TAKE"),
    (
        resting(type=OrderType.STOP_MARKET, side=OrderSide.SELL, stop_price=D(150), limit_price=None),
        "VENUE_WOULD_TRIGGER",
    ),
]


@pytest.mark.parametrize(("order", "code"), REFUSALS)
def test_what_is_refused_changes_nothing(order: Order, code: str) -> None:
    paper = exchange()
    with pytest.raises(PaperRefusal, match=code):
        paper.place(order, 7)
    assert paper.account.cash == {"USDT": D(1000), "BTC": D(5)}
    assert paper.working() == []


def test_a_client_id_is_unique_among_open_orders_only_as_on_the_real_venue() -> None:
    paper = exchange()
    paper.place(resting(), 7)
    with pytest.raises(PaperRefusal, match="VENUE_DUPLICATE_ID"):
        paper.place(resting(), 7)
    paper.cancel("ab12", 8)
    assert paper.place(resting(), 9).status is OrderStatus.ACCEPTED


def test_a_stop_sells_at_the_book_when_the_market_prints_through_it() -> None:
    paper = exchange()
    paper.place(resting(type=OrderType.STOP_MARKET, side=OrderSide.SELL, stop_price=D(98), limit_price=None), 7)
    assert paper.on_print(SYMBOL, Level(D("98.5"), D(1)), 8) == []
    reports = paper.on_print(SYMBOL, Level(D(98), D(1)), 9)
    assert [report.status for report in reports] == [OrderStatus.TRIGGERED, OrderStatus.FILLED]
    assert reports[-1].fill is not None
    assert reports[-1].fill.price == D(100)


def test_a_bar_that_hits_stop_and_target_is_read_as_the_loss() -> None:
    paper = exchange()
    sell = {"side": OrderSide.SELL, "limit_price": None}
    target = resting(type=OrderType.TAKE_PROFIT_MARKET, stop_price=D(105), client_order_id="tp", **sell)
    stop = resting(type=OrderType.STOP_MARKET, stop_price=D(95), client_order_id="sl", **sell)
    paper.place(target, 7)
    paper.place(stop, 7)
    reports = paper.on_bar(SYMBOL, PriceBar(D(100), D(110), D(90), D(100)), 9)
    assert next(report.client_order_id for report in reports if report.fill) == "sl"


def test_an_amendment_changes_price_and_size_and_a_refused_one_changes_nothing() -> None:
    paper = exchange()
    order = resting()
    paper.place(order, 7)
    assert paper.amend(order, D(98), D(2), 8).report().limit_price == D(98)
    with pytest.raises(PaperRefusal):
        paper.amend(order, D(98), D(1000), 9)
    (working,) = paper.working()
    assert (working.quantity, working.order.limit_price) == (D(2), D(98))
    assert paper.account.free("USDT") == D(1000) - D(196)


def test_a_short_position_realises_its_profit_when_it_is_bought_back() -> None:
    paper = exchange(FuturesAccount({"USDT": D(1000)}))
    paper.place(small(side=OrderSide.SELL, market=Market.FUTURES), 7)
    (position,) = paper.account.positions({SYMBOL: D(90)})
    assert (position.signed_quantity, position.entry_price, position.unrealised_pnl) == (D(-1), D(100), D(10))
    paper.on_book(SYMBOL, Book((Level(D(89), D(1)),), (Level(D(90), D(1)),), 8))
    paper.place(small(client_order_id="two", market=Market.FUTURES), 9)
    assert paper.account.cash["USDT"] == D(1000) + D(10) - D("0.1") - D("0.09")
    assert paper.account.positions({}) == ()


def test_opening_more_than_the_margin_allows_is_refused() -> None:
    paper = exchange(FuturesAccount({"USDT": D(10)}, leverage=D(5)))
    with pytest.raises(PaperRefusal, match="VENUE_INSUFFICIENT_FUNDS"):
        paper.place(small(market=Market.FUTURES), 7)


def test_a_position_under_water_can_be_closed_though_nothing_is_free() -> None:
    paper = exchange(FuturesAccount({"USDT": D(21)}, leverage=D(5)))
    paper.place(small(market=Market.FUTURES), 7)
    paper.account.credit("USDT", D(-20))
    assert paper.account.free("USDT") < 0
    closed = paper.place(small(client_order_id="two", side=OrderSide.SELL, market=Market.FUTURES), 8)
    assert closed.status is OrderStatus.FILLED
    with pytest.raises(PaperRefusal, match="VENUE_INSUFFICIENT_FUNDS"):
        paper.place(small(client_order_id="three", side=OrderSide.SELL, market=Market.FUTURES), 9)


def test_what_ended_long_ago_is_forgotten_and_what_works_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "_REMEMBERED", 5)
    paper = exchange(SpotAccount({"USDT": D(10**6), "BTC": D(5)}))
    for number in range(12):
        paper.place(resting(client_order_id=f"working-{number}", limit_price=D(50)), 7)
    for number in range(100):
        paper.on_book(SYMBOL, BOOK)
        paper.place(small(client_order_id=f"done-{number}"), 8)
    assert all(paper.find(f"working-{number}") is not None for number in range(12))
    kept = [number for number in range(100) if paper.find(f"done-{number}") is not None]
    assert kept == list(range(kept[0], 100))
    assert 5 <= len(kept) <= 10


moves = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "rest", "cancel", "print"]),
        st.decimals(min_value=D("0.1"), max_value=D(3), places=1),
        st.integers(min_value=95, max_value=105),
    ),
    max_size=30,
)


@given(program=moves)
def test_money_is_conserved_over_any_program(program: list[tuple[str, D, int]]) -> None:
    paper = exchange()
    fills: list[Any] = []
    for index, (kind, quantity, price) in enumerate(program):
        fills += [report.fill for report in paper.on_book(SYMBOL, BOOK) if report.fill]
        try:
            if kind in {"buy", "sell"}:
                order = small(client_order_id=str(index), side=OrderSide(kind.upper()), quantity=quantity)
                fills += paper.place(order, index).fills
            elif kind == "rest":
                order = resting(client_order_id=str(index), quantity=quantity, limit_price=D(price))
                fills += paper.place(order, index).fills
            elif kind == "cancel":
                paper.cancel(str(index - 1), index)
            else:
                reports = paper.on_print(SYMBOL, Level(D(price), quantity), index)
                fills += [report.fill for report in reports if report.fill]
        except PaperRefusal:
            continue
    base = sum((fill.quantity * fill.side.sign for fill in fills), D(0))
    quote = sum((-fill.notional * fill.side.sign - fill.fee for fill in fills), D(0))
    assert paper.account.cash == {"USDT": D(1000) + quote, "BTC": D(5) + base}
    assert all(balance.free >= 0 for balance in paper.account.balances() if balance.asset == "BTC")
    assert len({fill.trade_id for fill in fills}) == len(fills)

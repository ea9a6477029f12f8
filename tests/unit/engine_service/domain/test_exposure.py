"""The running totals against the same figures added up anew, plainly, after every step of random programs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import pytest

from engine_service.domain import events as e
from engine_service.domain.apply import apply
from engine_service.domain.exposure import ExposureBook, line_key
from engine_service.domain.exposure_lines import AfterOrder, worst_case
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.marks import Mark, MarkBook
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.domain.state import EngineState

D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
SPOT, FUTURES = Market.SPOT, Market.FUTURES
PRICES = {"BTC": D(50), "ETH": D(20)}


@dataclass(frozen=True, slots=True)
class Pair:
    """An instrument of the programs; the line is what it puts at risk."""

    symbol: str
    market: Market
    base: str
    quote: str
    line: str


PAIRS = (
    Pair("BTCUSDT.BINANCE", SPOT, "BTC", "USDT", "BTCUSDT.BINANCE|spot"),
    Pair("ETHUSDT.BINANCE", SPOT, "ETH", "USDT", "ETHUSDT.BINANCE|spot"),
    Pair("ETHBTC.BINANCE", SPOT, "ETH", "BTC", "ETHUSDT.BINANCE|spot"),
    Pair("BTCUSDT.BINANCE", FUTURES, "BTC", "USDT", "BTCUSDT.BINANCE|futures"),
    Pair("BTCUSDT.BYBIT", FUTURES, "BTC", "USDT", "BTCUSDT.BYBIT|futures"),
)


class Program:
    """A state that lives through random orders, fills, ends and marks, and what plainly follows from it."""

    def __init__(self, seed: int) -> None:
        self.chance, self.state, self.marks, self.at_ms = Random(seed), EngineState(), MarkBook(), 0
        self.state.exposure.watch(self.marks)
        self.prices: dict[tuple[str, Market], Decimal] = {}
        self.sizes: dict[str, Pair] = {}
        for market, asset in ((SPOT, "USDT"), (FUTURES, "USDT"), (SPOT, "BTC"), (SPOT, "ETH")):
            rate = PRICES.get(asset, D(1))
            self.put(
                e.BalanceAdjusted(
                    at_ms=0,
                    venue="BINANCE",
                    market=market,
                    asset=asset,
                    amount=D(1000),
                    rate=rate,
                    kind=e.AdjustmentKind.OPENING,
                )
            )

    def put(self, event: e.Event) -> None:
        apply(self.state, event)

    def step(self) -> None:
        self.at_ms += 1
        open_orders = list(self.state.open_orders.values())
        deed = self.chance.choice(("order", "order", "fill", "fill", "end", "mark", "mark"))
        if deed == "order" or not open_orders:
            self.order()
        elif deed == "mark":
            self.mark()
        elif deed == "end":
            cid = self.chance.choice(open_orders).client_order_id
            self.put(e.OrderCanceled(at_ms=self.at_ms, client_order_id=cid))
        else:
            self.fill(self.chance.choice(open_orders))

    def order(self) -> None:
        pair, side = self.chance.choice(PAIRS), self.chance.choice((BUY, SELL))
        cid, price = f"c{self.at_ms}", self.price_of(pair)
        self.sizes[cid] = pair
        order = Order(
            client_order_id=cid,
            symbol=pair.symbol,
            market=pair.market,
            side=side,
            type=OrderType.LIMIT,
            status=OrderStatus.ACCEPTED,
            quantity=D(self.chance.randint(1, 9)),
            strategy=self.chance.choice(("a", "b")),
            base=pair.base,
            quote=pair.quote,
            unit_value=price * PRICES.get(pair.quote, D(1)),
            reserve_asset="" if pair.market is FUTURES else pair.quote if side is BUY else pair.base,
            reserve_per_unit=price if side is BUY else D(1),
        )
        self.put(e.OrderInitialized(at_ms=self.at_ms, client_order_id=cid, order=order))

    def price_of(self, pair: Pair) -> Decimal:
        return PRICES[pair.base] / PRICES.get(pair.quote, D(1)) + self.chance.randint(0, 3)

    def fill(self, order: Order) -> None:
        assert order.remaining_quantity is not None
        quantity = min(order.remaining_quantity, D(self.chance.randint(1, 4)))
        fill = Fill(
            venue=order.venue,
            market=order.market,
            symbol=order.symbol,
            trade_id=str(self.at_ms),
            client_order_id=order.client_order_id,
            venue_order_id="v",
            side=order.side,
            price=self.price_of(self.sizes[order.client_order_id]),
            quantity=quantity,
            fee=D("0.01"),
            fee_asset=self.chance.choice(("USDT", "BTC", "BNB") if order.market is SPOT else ("USDT", "BNB")),
        )
        self.put(
            e.OrderFilled(
                at_ms=self.at_ms,
                client_order_id=order.client_order_id,
                fill=fill,
                base=order.base,
                quote=order.quote,
                quote_rate=PRICES.get(order.quote, D(1)),
                fee_rate=PRICES.get(fill.fee_asset, D(1)),
                strategy=order.strategy,
            )
        )

    def mark(self) -> None:
        """Move a coin's price on every market; a coin on spot goes by its spot price."""
        coin = self.chance.choice(("BTC", "ETH"))
        for pair in PAIRS:
            if (pair.base, pair.quote) == (coin, "USDT"):
                price = PRICES[coin] + self.chance.randint(-5, 5)
                self.prices[pair.symbol, pair.market] = price
                mark = Mark(symbol=pair.symbol, market=pair.market, bid=price - 1, ask=price + 1, at_s=self.at_ms)
                self.marks.update(mark)

    # --- what plainly follows -------------------------------------------------------------------------------

    def price(self, line: str) -> Decimal | None:
        symbol, _, market = line.partition("|")
        return self.prices.get((symbol, Market(market)))

    def values(self) -> dict[str, Decimal]:
        """What each line is worth now, at its mark or else at its cost."""
        books, found = self.state.portfolio, {}
        for coin in ("BTC", "ETH", "BNB"):
            book = books.holdings.get(f"BINANCE|spot|{coin}")
            if book is not None:
                line = f"{coin}USDT.BINANCE|spot"
                price = self.price(line)
                found[line] = book.cost if price is None else book.quantity * price
        for symbol, position in books.derivatives.items():
            price = self.price(f"{symbol}|futures")
            found[f"{symbol}|futures"] = position.book.cost if price is None else position.book.quantity * price
        return found

    def orders(self, line: str, side: OrderSide, strategy: str = "") -> Decimal:
        return sum(
            (
                order.unit_value * (order.remaining_quantity or 0)
                for order in self.state.open_orders.values()
                if self.sizes[order.client_order_id].line == line
                and order.side is side
                and strategy in {"", order.strategy}
            ),
            D(0),
        )

    def worst(self, extra: tuple[str, OrderSide, Decimal] | None = None) -> dict[str, Decimal]:
        values = defaultdict(Decimal, self.values())
        for pair in PAIRS:
            values[pair.line] += 0
        return {
            line: max(abs(value + self.with_extra(line, BUY, extra)), abs(value - self.with_extra(line, SELL, extra)))
            for line, value in values.items()
        }

    def with_extra(self, line: str, side: OrderSide, extra: tuple[str, OrderSide, Decimal] | None) -> Decimal:
        more = extra[2] if extra is not None and extra[:2] == (line, side) else D(0)
        return self.orders(line, side) + more

    def strategy_worst(self, strategy: str, extra: tuple[str, OrderSide, Decimal] | None = None) -> Decimal:
        total, books = D(0), self.state.portfolio
        held: dict[str, tuple[Decimal, Decimal]] = {pair.line: (D(0), D(0)) for pair in PAIRS}
        for pair in PAIRS:
            position = books.strategies.get(f"{strategy}|{pair.market}|{pair.symbol}")
            if position is not None and pair.symbol != "ETHBTC.BINANCE":
                held[pair.line] = (position.book.quantity, position.book.cost)
        for line, (quantity, cost) in held.items():
            price = self.price(line)
            value = cost if price is None else quantity * price
            more = {side: (extra[2] if extra and extra[:2] == (line, side) else D(0)) for side in (BUY, SELL)}
            buys = self.orders(line, BUY, strategy) + more[BUY]
            sells = self.orders(line, SELL, strategy) + more[SELL]
            total += max(abs(value + buys), abs(value - sells))
        return total

    def equity(self) -> Decimal:
        books, values = self.state.portfolio, self.values()
        wallets = sum((books.holding("BINANCE", market, "USDT") for market in Market), D(0))
        other = sum((b.cost for key, b in books.holdings.items() if _without_line(key)), D(0))
        spot = sum((value for line, value in values.items() if line.endswith("|spot")), D(0))
        costs = sum((position.book.cost for position in books.derivatives.values()), D(0))
        futures = sum((value for line, value in values.items() if line.endswith("|futures")), D(0))
        return wallets + other + spot + futures - costs

    def reserved(self) -> dict[str, Decimal]:
        found: dict[str, Decimal] = defaultdict(Decimal)
        for order in self.state.open_orders.values():
            if order.reserve_asset:
                key = f"BINANCE|spot|{order.reserve_asset}"
                found[key] += order.reserve_per_unit * (order.remaining_quantity or 0)
        return found


def _without_line(key: str) -> bool:
    """Coins of a futures wallet and of the other venue are worth what they cost: no mark of them is known."""
    venue, market, asset = key.split("|")
    return venue == "BYBIT" or (market == "futures" and asset != "USDT")


def check(program: Program, exposure: ExposureBook) -> None:
    worst = program.worst()
    assert {line: exposure.worst(line) for line in worst} == worst
    assert exposure.totals.worst == sum(worst.values())
    by_venue: dict[str, Decimal] = defaultdict(Decimal)
    futures: dict[str, Decimal] = defaultdict(Decimal)
    for line, value in worst.items():
        venue = "BYBIT" if "BYBIT" in line else "BINANCE"
        by_venue[venue] += value
        futures[venue] += value * line.endswith("|futures")
    assert {venue: exposure.totals.by_venue.get(venue, D(0)) for venue in by_venue} == by_venue
    assert {venue: exposure.derivative_gross(venue) for venue in futures} == futures
    assert exposure.derivative_gross() == sum(futures.values())
    assert {key: value for key, value in exposure.reserved.items() if value} == program.reserved()


@pytest.mark.parametrize("seed", range(6))
def test_the_running_totals_are_the_sums_and_a_rebuilt_book_has_them_too(seed: int) -> None:
    program = Program(seed)
    for number in range(120):
        program.step()
        check(program, program.state.exposure)
        if number % 40 == 39:
            again = EngineState(program.state.image)
            again.exposure.watch(program.marks)
            check(program, again.exposure)


@pytest.mark.parametrize("seed", range(4))
def test_what_an_order_would_add_is_what_it_adds(seed: int) -> None:
    program = Program(seed)
    exposure = program.state.exposure
    for _ in range(80):
        program.step()
        pair, side = program.chance.choice(PAIRS), program.chance.choice((BUY, SELL))
        value = D(program.chance.randint(0, 4000))
        venue = pair.symbol.partition(".")[2]
        after = program.worst((pair.line, side, value))
        of_venue = sum((v for line, v in after.items() if ("BYBIT" in line) is (venue == "BYBIT")), D(0))
        added = after[pair.line] - program.worst().get(pair.line, D(0))
        expected = AfterOrder(after[pair.line], of_venue, sum(after.values(), D(0)), added)
        for _ in range(2):  # the second answer is remembered
            assert exposure.after_order(pair.line, venue, side, value) == expected


@pytest.mark.parametrize("seed", range(4))
def test_each_strategy_answers_for_its_own_part(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two instruments on one line would share it; the strategy's own part is per instrument.
    monkeypatch.setattr(f"{__name__}.PAIRS", tuple(pair for pair in PAIRS if pair.symbol != "ETHBTC.BINANCE"))
    program = Program(seed)
    exposure = program.state.exposure
    for _ in range(80):
        program.step()
        for strategy in ("a", "b"):
            assert exposure.strategy_exposure(strategy) == program.strategy_worst(strategy)
            pair, side = program.chance.choice(PAIRS), program.chance.choice((BUY, SELL))
            value = D(program.chance.randint(1, 4000))
            expected = program.strategy_worst(strategy, (pair.line, side, value))
            assert exposure.strategy_after_order(strategy, pair.line, side, value) == expected
    assert exposure.strategy_exposure("nobody") == 0
    assert exposure.strategy_after_order("nobody", PAIRS[0].line, BUY, D(7)) == 7


@pytest.mark.parametrize("seed", range(4))
def test_equity_is_what_everything_is_worth_now(seed: int) -> None:
    program = Program(seed)
    for _ in range(100):
        program.step()
        assert program.state.exposure.equity == program.equity()


def marked(**prices: str) -> MarkBook:
    """A book of marks on both markets of one venue."""
    marks = MarkBook()
    for local, price in prices.items():
        for market in Market:
            marks.update(Mark(symbol=f"{local}.BINANCE", market=market, bid=D(price), ask=D(price), at_s=1))
    return marks


def test_what_is_taken_in_after_its_mark_is_worth_its_mark_at_once() -> None:
    state = EngineState()
    state.exposure.watch(marked(BTCUSDT="60", BNBUSDT="3"))
    for market, asset, rate in ((SPOT, "BTC", "50"), (FUTURES, "BNB", "2")):
        opened = e.BalanceAdjusted(
            at_ms=0,
            venue="BINANCE",
            market=market,
            asset=asset,
            amount=D(10),
            rate=D(rate),
            kind=e.AdjustmentKind.OPENING,
        )
        apply(state, opened)
    assert (state.exposure.worst("BTCUSDT.BINANCE|spot"), state.exposure.equity) == (D(600), D(630))


def test_a_futures_position_is_worth_its_mark_in_the_reporting_currency() -> None:
    state, marks = EngineState(), marked(BTCUSDC="60", USDCUSDT="0.5")
    state.exposure.watch(marks)
    adopted = e.PositionAdopted(
        at_ms=1, symbol="BTCUSDC.BINANCE", quote="USDC", quantity=D(4), price=D(50), quote_rate=D("0.5")
    )
    apply(state, adopted)
    line = "BTCUSDC.BINANCE|futures"
    assert (state.exposure.worst(line), state.exposure.equity) == (D(120), D(20))
    marks.update(Mark(symbol="BTCUSDC.BINANCE", market=FUTURES, bid=D(70), ask=D(70), at_s=2))
    assert (state.exposure.worst(line), state.exposure.equity) == (D(140), D(40))


def test_a_position_without_any_rate_is_counted_one_to_one() -> None:
    state = EngineState()
    state.exposure.watch(marked(BTCXYZ="60"))
    adopted = e.PositionAdopted(
        at_ms=1, symbol="BTCXYZ.BINANCE", quote="XYZ", quantity=D(4), price=D(50), quote_rate=D(1)
    )
    apply(state, adopted)
    assert state.exposure.worst("BTCXYZ.BINANCE|futures") == 240


def test_the_reporting_currency_bought_with_another_is_its_strategys_exposure() -> None:
    program = Program(0)
    fill = Fill(
        venue="BINANCE",
        market=SPOT,
        symbol="USDTTRY.BINANCE",
        trade_id="1",
        client_order_id="c",
        venue_order_id="v",
        side=BUY,
        price=D(40),
        quantity=D(10),
    )
    order = Order(
        client_order_id="c",
        symbol="USDTTRY.BINANCE",
        market=SPOT,
        side=BUY,
        type=OrderType.LIMIT,
        status=OrderStatus.ACCEPTED,
        quantity=D(10),
        strategy="a",
        base="USDT",
        quote="TRY",
    )
    program.put(e.OrderInitialized(at_ms=1, client_order_id="c", order=order))
    program.put(
        e.OrderFilled(
            at_ms=1,
            client_order_id="c",
            fill=fill,
            base="USDT",
            quote="TRY",
            quote_rate=D("0.025"),
            fee_rate=D(1),
            strategy="a",
        )
    )
    assert program.state.exposure.strategy_exposure("a") == 10


def test_what_no_order_holds_back_is_available() -> None:
    state = Program(1).state
    before = state.exposure.available(state.portfolio, "BINANCE", SPOT, "USDT")
    state.exposure.reserved["BINANCE|spot|USDT"] = D(300)
    assert state.exposure.available(state.portfolio, "BINANCE", SPOT, "USDT") == before - 300
    assert state.exposure.available(state.portfolio, "BINANCE", SPOT, "ADA") == 0


@pytest.mark.parametrize(
    ("value", "buys", "sells", "worst"),
    [
        ("-5", "0", "0", "5"),
        ("5", "3", "0", "8"),
        ("5", "0", "3", "5"),
        ("5", "0", "12", "7"),
        ("-5", "3", "0", "5"),
        ("-5", "0", "3", "8"),
    ],
)
def test_the_worst_is_the_larger_of_all_buys_and_all_sells(value: str, buys: str, sells: str, worst: str) -> None:
    assert worst_case(D(value), D(buys), D(sells)) == D(worst)


def test_a_line_is_a_coin_on_spot_and_an_instrument_on_futures() -> None:
    assert line_key("ETHBTC.BINANCE", SPOT, "ETH", "USDT") == "ETHUSDT.BINANCE|spot"
    assert line_key("ETHBTC.BINANCE", FUTURES, "ETH", "USDT") == "ETHBTC.BINANCE|futures"
    assert line_key("USDTTRY.BINANCE", SPOT, "USDT", "USDT") == "USDTTRY.BINANCE|spot"
    assert line_key("ODD.BINANCE", SPOT, "", "USDT") == "ODD.BINANCE|spot"


def test_the_same_question_after_anything_moved_has_a_new_answer() -> None:
    program = Program(3)
    exposure = program.state.exposure
    for _ in range(20):
        program.step()
        for pair in PAIRS:
            program.mark()
            asked = (pair.line, pair.symbol.partition(".")[2], BUY, D(100))
            exposure.after_order(*asked)
            program.at_ms += 1
            program.order()
            program.mark()
            after = program.worst((pair.line, BUY, D(100)))
            assert exposure.after_order(*asked).line == after[pair.line]
            assert exposure.after_order(*asked).total == sum(after.values())


def test_collateral_of_futures_follows_the_price_of_its_coin_at_once() -> None:
    state, marks = EngineState(), MarkBook()
    state.exposure.watch(marks)
    apply(
        state,
        e.BalanceAdjusted(
            at_ms=1, venue="BINANCE", market=FUTURES, asset="BTC", amount=D(10), rate=D(0),
            kind=e.AdjustmentKind.OPENING, reference="start",
        ),
    )  # fmt: skip
    before = state.exposure.is_priced
    for market, price in ((FUTURES, D(50)), (SPOT, D(60))):
        marks.update(Mark(symbol="BTCUSDT.BINANCE", market=market, bid=price, ask=price, at_s=2))
        assert state.exposure.equity == 10 * price
    assert (before, state.exposure.is_priced) == (False, True)
    assert state.exposure.totals.worst == 0, "collateral is no position"

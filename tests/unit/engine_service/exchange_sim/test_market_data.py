from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.exchange_sim.enums import Market, OrderType, Side
from engine_service.exchange_sim.events import (
    BookTickerEvent,
    Channel,
    DepthEvent,
    KlineEvent,
    MarkPriceEvent,
    StreamKey,
    TickerEvent,
    TradeEvent,
)
from engine_service.exchange_sim.intervals import INTERVALS, bar_open_ms, next_open_ms
from engine_service.exchange_sim.model import NewOrder
from engine_service.exchange_sim.public_data import Bar
from tests.unit.engine_service.exchange_sim.market_floor import (
    ALICE,
    NOW_MS,
    Floor,
    limit_order,
    market_order,
    refusal,
)

SPOT, FUTURES = Market.SPOT, Market.FUTURES


@pytest.fixture
def floor() -> Floor:
    return Floor(history_s=600)


def merged(bars: list[Bar]) -> tuple[Decimal, ...]:
    return (
        bars[0].open,
        max(b.high for b in bars),
        min(b.low for b in bars),
        bars[-1].close,
        sum((b.volume for b in bars), Decimal(0)),
        sum((b.quote_volume for b in bars), Decimal(0)),
        Decimal(sum(b.trades for b in bars)),
    )


def test_the_history_ends_now_and_has_no_gap(floor: Floor) -> None:
    bars = floor.exchange.market_data.klines(SPOT, "BTCUSDT", "1s", limit=1000)
    assert [b.open_ms for b in bars] == list(range(NOW_MS - 600_000, NOW_MS + 1, 1000))
    assert all(b.low <= min(b.open, b.close) <= max(b.open, b.close) <= b.high for b in bars)
    assert all(not b.volume % Decimal("0.00001") and not b.close % Decimal("0.01") for b in bars)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHBTC", "DOGEUSDT"])
def test_longer_bars_are_their_seconds_added_up_also_while_they_run(floor: Floor, symbol: str) -> None:
    floor.run(95_300)
    data = floor.exchange.market_data
    for minute in data.klines(SPOT, symbol, "1m", limit=100)[1:]:
        seconds = data.klines(SPOT, symbol, "1s", minute.open_ms, minute.close_ms)
        assert merged([minute]) == merged(seconds)
        assert minute.first_trade_id == seconds[0].first_trade_id


def test_klines_page_forwards_from_a_start_and_backwards_without_one(floor: Floor) -> None:
    data = floor.exchange.market_data
    start = NOW_MS - 300_000
    forwards = data.klines(SPOT, "BTCUSDT", "1s", start + 1, None, 3)
    assert [b.open_ms for b in forwards] == [start + 1000, start + 2000, start + 3000]
    backwards = data.klines(SPOT, "BTCUSDT", "1s", None, start + 999, 2)
    assert [b.open_ms for b in backwards] == [start - 1000, start]
    assert data.klines(SPOT, "BTCUSDT", "1s", NOW_MS + 60_000) == []
    assert refusal(lambda: data.klines(SPOT, "BTCUSDT", "7m"))[0] == -1120
    assert refusal(lambda: data.klines(FUTURES, "ETHBTC", "1m"))[0] == -1121


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_bar_holds_every_moment_from_its_opening_to_the_next(interval: str) -> None:
    opened = bar_open_ms(interval, NOW_MS)
    following = next_open_ms(interval, opened)
    assert opened <= NOW_MS < following
    assert bar_open_ms(interval, following - 1) == opened
    assert bar_open_ms(interval, following) == following


def test_weeks_open_on_monday_and_months_on_the_first() -> None:
    thursday = 1_795_046_400_000  # 2026-11-19
    assert bar_open_ms("1w", thursday) == thursday - 3 * 86_400_000
    assert bar_open_ms("1M", thursday) == thursday - 18 * 86_400_000


def test_the_cross_rate_follows_its_legs(floor: Floor) -> None:
    floor.run(5000)
    price = {s: floor.exchange.market_data.last_price(SPOT, s) for s in ("ETHBTC", "ETHUSDT", "BTCUSDT")}
    assert abs(price["ETHBTC"] - price["ETHUSDT"] / price["BTCUSDT"]) <= Decimal("0.00001")


def test_every_watched_bar_closes_once_with_what_the_history_then_serves(floor: Floor) -> None:
    keys = [StreamKey(Channel.KLINE, SPOT, "ETHUSDT", interval) for interval in ("1s", "1m")]
    for key in keys:
        floor.exchange.watch(key)
    floor.run(130_000)
    closed = [e for e in floor.events if isinstance(e, KlineEvent) and e.closed]
    for key in keys:
        told = [e.bar for e in closed if e.key == key]
        start, end = told[0].open_ms, told[-1].open_ms
        assert told == floor.exchange.market_data.klines(SPOT, "ETHUSDT", key.interval, start, end, 1000)
    assert len([e for e in closed if e.key.interval == "1s"]) == 130
    assert len([e for e in closed if e.key.interval == "1m"]) == 2
    assert all(e.at_ms == e.bar.close_ms + 1 for e in closed)
    running = [e for e in floor.events if isinstance(e, KlineEvent) and not e.closed]
    assert len(running) > 2 * 130


def test_accounts_trades_are_on_the_tape_and_in_the_bar(floor: Floor) -> None:
    floor.freeze()
    floor.run(1500)
    order, fills = floor.exchange.orders.place(ALICE, market_order(Side.BUY, "9"))
    tape = floor.exchange.market_data.recent_trades(SPOT, "BTCUSDT", len(fills))
    assert [(t.trade_id, t.price, t.quantity) for t in tape] == [(f.trade_id, f.price, f.quantity) for f in fills]
    assert not any(t.is_buyer_maker for t in tape)
    bar = floor.exchange.market_data.klines(SPOT, "BTCUSDT", "1s", limit=1)[0]
    assert (bar.volume, bar.quote_volume, bar.trades) == (Decimal(9), order.executed_quote, len(fills))
    assert (bar.taker_volume, bar.high) == (Decimal(9), fills[-1].price)


def test_aggregate_trades_join_one_takers_fills_at_one_price(floor: Floor) -> None:
    floor.freeze()
    price = floor.best(Side.BUY) + Decimal("0.01")
    for _ in range(3):
        floor.exchange.orders.place(ALICE, limit_order(Side.BUY, "0.01", price))
    _, fills = floor.exchange.orders.place("bob", market_order(Side.SELL, "0.03"))
    last = floor.exchange.market_data.agg_trades(SPOT, "BTCUSDT", limit=1)[0]
    assert (last.quantity, last.first_trade_id, last.last_trade_id) == (
        Decimal("0.03"),
        fills[0].trade_id,
        fills[-1].trade_id,
    )


def test_a_book_kept_from_depth_differences_equals_the_snapshot(floor: Floor) -> None:
    key = StreamKey(Channel.DEPTH, SPOT, "BTCUSDT")
    floor.exchange.watch(key)
    start = floor.exchange.market_data.depth(SPOT, "BTCUSDT", 5000)
    books = ({lv.price: lv.quantity for lv in start.bids}, {lv.price: lv.quantity for lv in start.asks})
    floor.exchange.orders.place(ALICE, limit_order(Side.BUY, "0.3", floor.best(Side.BUY) - 5))
    floor.run(3000)
    update = start.last_update_id
    for event in (e for e in floor.events if isinstance(e, DepthEvent)):
        assert (event.previous_update_id, event.first_update_id) == (update, update + 1)
        update = event.last_update_id
        for book, changes in zip(books, (event.bids, event.asks), strict=True):
            book.update({lv.price: lv.quantity for lv in changes})
    end = floor.exchange.market_data.depth(SPOT, "BTCUSDT", 5000)
    assert end.last_update_id == update
    for book, levels in zip(books, (end.bids, end.asks), strict=True):
        assert {p: q for p, q in book.items() if q} == {lv.price: lv.quantity for lv in levels}


def test_market_events_come_only_while_watched(floor: Floor) -> None:
    kinds = {
        Channel.TRADE: TradeEvent,
        Channel.BOOK_TICKER: BookTickerEvent,
        Channel.TICKER: TickerEvent,
        Channel.MARK_PRICE: MarkPriceEvent,
    }
    floor.run(2000)
    assert floor.events == []
    keys = [StreamKey(channel, FUTURES, "SOLUSDT") for channel in kinds]
    for key in keys:
        floor.exchange.watch(key)
        floor.exchange.watch(key)
        floor.exchange.unwatch(key)
    floor.run(2000)
    assert {type(e) for e in floor.events} == set(kinds.values())
    for key in keys:
        floor.exchange.unwatch(key)
    floor.events.clear()
    floor.run(2000)
    assert floor.events == []


def test_the_day_statistics_cover_what_the_history_holds(floor: Floor) -> None:
    floor.run(3300)
    ticker = floor.exchange.market_data.ticker_24h(SPOT, "BTCUSDT")
    bars = floor.exchange.market_data.klines(SPOT, "BTCUSDT", "1s", limit=1000)
    assert (ticker.open, ticker.high, ticker.low, ticker.last) == merged(bars)[:4]
    assert (ticker.volume, ticker.quote_volume) == merged(bars)[4:6]
    assert ticker.low <= ticker.weighted_average <= ticker.high


def test_operators_can_jump_freeze_and_shake_the_market(floor: Floor) -> None:
    last = lambda: floor.exchange.market_data.last_price(SPOT, "ETHUSDT")  # noqa: E731
    before = last()
    floor.exchange.market.jump("ETHUSDT", 0.10)
    floor.run(400)
    assert last() / before == pytest.approx(Decimal("1.10"), rel=Decimal("0.005"))
    floor.exchange.market.is_frozen = True
    still = last()
    floor.run(120_000)
    assert last() == still
    floor.exchange.market.is_frozen = False
    floor.run(200)
    assert last() / still == pytest.approx(Decimal(1), rel=Decimal("0.001"))

    def spread() -> Decimal:
        bars = floor.exchange.market_data.klines(SPOT, "ETHUSDT", "1s", limit=20)
        return sum(((b.high - b.low) / b.low for b in bars), Decimal(0))

    floor.run(20_000)
    usual = spread()
    floor.exchange.market.volatility_factor = 10.0
    floor.run(20_000)
    assert spread() > 3 * usual


def test_a_late_ticker_does_not_put_a_trade_into_the_second_before(floor: Floor) -> None:
    floor.clock.advance(2500)
    ticket = NewOrder(SPOT, "BTCUSDT", Side.BUY, OrderType.MARKET, Decimal("0.01"))
    _, fills = floor.exchange.orders.place(ALICE, ticket)
    floor.clock.advance(1000)
    floor.exchange.advance_to(floor.clock.now_ms())
    own = floor.exchange.market_data.klines(SPOT, "BTCUSDT", "1s", limit=5)
    holds = [b for b in own if b.first_trade_id <= fills[0].trade_id <= b.last_trade_id]
    assert [b.open_ms for b in holds] == [NOW_MS + 2000]

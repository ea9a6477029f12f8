"""A listed symbol: its book, its tape, its bars, and the market events they give rise to."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from msgspec.structs import replace

from engine_service.exchange_sim.bars import BarStore, merge_rows
from engine_service.exchange_sim.book import MakerQuotes, RestingOrders, shown_levels
from engine_service.exchange_sim.enums import Side
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.events import (
    AggTradeEvent,
    BookTickerEvent,
    Channel,
    DepthEvent,
    KlineEvent,
    StreamKey,
    TradeEvent,
)
from engine_service.exchange_sim.intervals import SECOND_MS, bar_open_ms, next_open_ms
from engine_service.exchange_sim.model import SymbolSpec
from engine_service.exchange_sim.public_data import AggTrade, Bar, BookTop, Depth, Level, PublicTrade

TAPE_LENGTH = 10_000


class Listing:
    """One symbol of one market. Prices and quantities inside are ticks and steps."""

    def __init__(self, spec: SymbolSpec, bars: BarStore, quotes: MakerQuotes, bus: EventBus) -> None:
        self.spec = spec
        self.bars = bars
        self.quotes = quotes
        self.resting = RestingOrders()
        self.trades: deque[PublicTrade] = deque(maxlen=TAPE_LENGTH)
        self.agg_trades: deque[AggTrade] = deque(maxlen=TAPE_LENGTH)
        self.last_ticks = bars.running.row[0]
        self.next_trade_id = bars.running.row[-1]
        self.next_agg_id = self.next_trade_id
        self.mark_price = self.last_ticks * spec.tick_size
        self.update_id = self.next_trade_id * 10
        self._bus = bus
        self._unit_tick = spec.tick_size
        self._unit_step = spec.step_size
        self._unit_value = spec.tick_size * spec.step_size
        self._running: dict[str, tuple[int, list[int] | None]] = {}
        self._depth_sent: tuple[int, dict[int, int], dict[int, int]] = (self.update_id, {}, {})
        self._keys = {c: StreamKey(c, spec.market, spec.symbol) for c in Channel}

    # -- units -------------------------------------------------------------------------------------

    def to_ticks(self, price: Decimal) -> int:
        return int(price / self._unit_tick)

    def to_steps(self, quantity: Decimal) -> int:
        """Whole steps in a quantity, rounded down."""
        return int(quantity / self._unit_step)

    def to_price(self, ticks: int) -> Decimal:
        return ticks * self._unit_tick

    def to_quantity(self, steps: int) -> Decimal:
        return steps * self._unit_step

    @property
    def unit_value(self) -> Decimal:
        """Return what one step is worth at a price of one tick, in quote units."""
        return self._unit_value

    @property
    def unit_tick(self) -> Decimal:
        """Return the increment that the book counts in; the published tick may be a multiple of it."""
        return self._unit_tick

    @property
    def unit_step(self) -> Decimal:
        """Return the increment of quantities that the book counts in."""
        return self._unit_step

    def change_filters(self, tick_size: Decimal | None, step_size: Decimal | None) -> None:
        """Publish coarser increments; new orders have to keep to them, what rests stays.

        Raises:
            ValueError: an increment is no whole multiple of the one the book counts in.
        """
        tick, step = tick_size or self.spec.tick_size, step_size or self.spec.step_size
        if tick % self._unit_tick or step % self._unit_step:
            raise ValueError(f"whole multiples of {self._unit_tick} and {self._unit_step} only")
        self.spec = replace(
            self.spec, tick_size=tick, min_price=tick, step_size=step, min_quantity=max(step, self.spec.min_quantity)
        )

    @property
    def last_price(self) -> Decimal:
        return self.last_ticks * self._unit_tick

    # -- the market moves --------------------------------------------------------------------------

    def key(self, channel: Channel) -> StreamKey:
        return self._keys[channel]

    def print_trades(self, fills: list[tuple[int, int]], taker: Side, at_ms: int) -> list[int]:
        """Put one taking order's fills (ticks, steps) on the tape and in the bar; returns their trade ids."""
        buyer_takes = taker is Side.BUY
        ids = []
        for ticks, steps in fills:
            trade = PublicTrade(
                self.next_trade_id, self.to_price(ticks), self.to_quantity(steps), at_ms, not buyer_takes
            )
            self.next_trade_id += 1
            ids.append(trade.trade_id)
            self.trades.append(trade)
            self.bars.running.add(ticks, steps, buyer_takes)
            if self._bus.is_watched(self._keys[Channel.TRADE]):
                self._bus.publish(TradeEvent(self._keys[Channel.TRADE], trade, at_ms))
        if fills:
            self.last_ticks = fills[-1][0]
            self._print_aggregates(fills, ids, not buyer_takes, at_ms)
        return ids

    def _print_aggregates(self, fills: list[tuple[int, int]], ids: list[int], buyer_makes: bool, at_ms: int) -> None:
        start = 0
        for i in range(1, len(fills) + 1):
            if i < len(fills) and fills[i][0] == fills[start][0]:
                continue
            quantity = self.to_quantity(sum(steps for _, steps in fills[start:i]))
            price = self.to_price(fills[start][0])
            agg = AggTrade(self.next_agg_id, price, quantity, ids[start], ids[i - 1], at_ms, buyer_makes)
            self.next_agg_id += 1
            self.agg_trades.append(agg)
            if self._bus.is_watched(self._keys[Channel.AGG_TRADE]):
                self._bus.publish(AggTradeEvent(self._keys[Channel.AGG_TRADE], agg, at_ms))
            start = i

    def touch_book(self) -> None:
        """The book changed: count it."""
        self.update_id += 1

    # -- what it shows -----------------------------------------------------------------------------

    def depth(self, limit: int, at_ms: int) -> Depth:
        bids = list(shown_levels(self.quotes, self.resting, Side.BUY).items())[:limit]
        asks = list(shown_levels(self.quotes, self.resting, Side.SELL).items())[:limit]
        return Depth(self.update_id, self._levels(bids), self._levels(asks), at_ms)

    def _levels(self, levels: list[tuple[int, int]]) -> tuple[Level, ...]:
        return tuple(Level(self.to_price(p), self.to_quantity(q)) for p, q in levels)

    def top(self, at_ms: int) -> BookTop:
        bid, bid_steps = self._best(Side.BUY)
        ask, ask_steps = self._best(Side.SELL)
        return BookTop(
            self.update_id,
            self.to_price(bid),
            self.to_quantity(bid_steps),
            self.to_price(ask),
            self.to_quantity(ask_steps),
            at_ms,
        )

    def _best(self, side: Side) -> tuple[int, int]:
        price, steps = self.quotes.best(side)
        for order in self.resting.best_first(side):
            if price and (order.price_ticks - price) * side.sign < 0:
                break
            if order.price_ticks != price:
                price, steps = order.price_ticks, 0
            steps += order.steps
        return price, steps

    def best_ticks(self, side: Side) -> int:
        """Best price of a side in ticks, 0 where it is empty."""
        return self._best(side)[0]

    # -- streams -----------------------------------------------------------------------------------

    def publish_book(self, at_ms: int) -> None:
        """Best prices and changed levels, to those who watch."""
        top_key, depth_key = self._keys[Channel.BOOK_TICKER], self._keys[Channel.DEPTH]
        if self._bus.is_watched(top_key):
            self._bus.publish(BookTickerEvent(top_key, self.top(at_ms), at_ms))
        if self._bus.is_watched(depth_key):
            self._publish_depth(depth_key, at_ms)
        else:
            self._depth_sent = (self.update_id, {}, {})

    def start_depth(self) -> None:
        """Someone begins to watch the depth: differences count from the book as it stands."""
        self._depth_sent = (self.update_id, *self._shown())

    def _shown(self) -> tuple[dict[int, int], dict[int, int]]:
        return (
            shown_levels(self.quotes, self.resting, Side.BUY),
            shown_levels(self.quotes, self.resting, Side.SELL),
        )

    def _publish_depth(self, key: StreamKey, at_ms: int) -> None:
        previous, old_bids, old_asks = self._depth_sent
        if previous == self.update_id:
            return
        bids, asks = self._shown()
        self._bus.publish(
            DepthEvent(
                key,
                previous + 1,
                self.update_id,
                previous,
                self._levels(_changes(old_bids, bids)),
                self._levels(_changes(old_asks, asks)),
                at_ms,
            )
        )
        self._depth_sent = (self.update_id, bids, asks)

    def publish_klines(self, at_ms: int) -> None:
        """The running bar of every watched interval."""
        for interval in self._bus.kline_intervals(self.spec.market, self.spec.symbol):
            open_ms, closed_part = self._running_interval(interval)
            bar = self.bars.running_bar(interval, closed_part, open_ms)
            self._publish_bar(interval, bar, closed=False, at_ms=at_ms)

    def close_second(self) -> None:
        """End the running second; publish the bars that end with it."""
        intervals = self._bus.kline_intervals(self.spec.market, self.spec.symbol)
        before = {interval: self._running_interval(interval) for interval in intervals}
        at_ms = self.bars.running_open_ms + SECOND_MS
        self.bars.close_running(self.next_trade_id)
        row = self.bars.last_closed_row()
        self._running.clear()
        for interval, (open_ms, closed_part) in before.items():
            merged = row if closed_part is None else merge_rows(closed_part, row)
            if next_open_ms(interval, open_ms) > at_ms:
                self._running[interval] = (open_ms, merged)
                continue
            self._publish_bar(interval, self.bars.bar_of(merged, interval, open_ms), closed=True, at_ms=at_ms)

    def _running_interval(self, interval: str) -> tuple[int, list[int] | None]:
        """Open time of the interval's running bar and its closed seconds, merged."""
        kept = self._running.get(interval)
        if kept is not None:
            return kept
        second = self.bars.running_open_ms
        open_ms = bar_open_ms(interval, second)
        first = max(open_ms, self.bars.first_open_ms)
        part = self.bars.merge(first, second) if first < second else None
        self._running[interval] = (open_ms, part)
        return open_ms, part

    def _publish_bar(self, interval: str, bar: Bar, *, closed: bool, at_ms: int) -> None:
        key = StreamKey(Channel.KLINE, self.spec.market, self.spec.symbol, interval)
        self._bus.publish(KlineEvent(key, bar, closed, at_ms))


def _changes(old: dict[int, int], new: dict[int, int]) -> list[tuple[int, int]]:
    gone = [(price, 0) for price in old if price not in new]
    return gone + [(price, steps) for price, steps in new.items() if old.get(price) != steps]

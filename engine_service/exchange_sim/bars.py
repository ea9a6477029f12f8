"""One-second bars of a symbol in whole numbers (ticks and steps), and every longer interval made from them."""

from __future__ import annotations

import itertools
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from engine_service.exchange_sim.intervals import SECOND_MS, bar_open_ms, next_open_ms
from engine_service.exchange_sim.public_data import Bar

IntArray = NDArray[np.int64]

# Columns of the store. Quote volumes count tick x step.
OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE, TRADES, TAKER_VOLUME, TAKER_QUOTE, FIRST_ID = range(10)
_COLUMNS = 10
_SPARE_ROWS = 4096
MAX_ROWS = 48 * 3600


class BarBuilder:
    """The second that is running."""

    __slots__ = ("row",)

    def __init__(self, price_ticks: int, next_trade_id: int) -> None:
        self.row = [price_ticks, price_ticks, price_ticks, price_ticks, 0, 0, 0, 0, 0, next_trade_id]

    def add(self, price_ticks: int, steps: int, buyer_takes: bool) -> None:
        """Count one trade; the first one sets the open."""
        row = self.row
        if row[TRADES] == 0:
            row[OPEN] = row[HIGH] = row[LOW] = price_ticks
        elif price_ticks > row[HIGH]:
            row[HIGH] = price_ticks
        elif price_ticks < row[LOW]:
            row[LOW] = price_ticks
        row[CLOSE] = price_ticks
        row[VOLUME] += steps
        row[QUOTE] += price_ticks * steps
        row[TRADES] += 1
        if buyer_takes:
            row[TAKER_VOLUME] += steps
            row[TAKER_QUOTE] += price_ticks * steps


class BarStore:
    """Closed one-second bars without gaps, and the one that runs."""

    def __init__(self, tick: Decimal, step: Decimal, first_open_ms: int, history: IntArray) -> None:
        """Start from `history`, shape (seconds, 10), whose first row opens at `first_open_ms`."""
        self._tick = tick
        self._step = step
        self._unit = tick * step
        self._first_open_ms = first_open_ms
        self._count = len(history)
        self._rows = np.concatenate([history, np.zeros((_SPARE_ROWS, _COLUMNS), dtype=np.int64)])
        self._day_cache: tuple[int, list[int]] = (0, [])
        last = history[-1]
        self.running = BarBuilder(int(last[CLOSE]), int(last[FIRST_ID] + last[TRADES]))

    @property
    def running_open_ms(self) -> int:
        """Open time of the bar that runs."""
        return self._first_open_ms + self._count * SECOND_MS

    @property
    def first_open_ms(self) -> int:
        return self._first_open_ms

    def close_running(self, next_trade_id: int) -> None:
        """The second is over: keep its bar, begin the next at its close."""
        if self._count == len(self._rows):
            self._make_room()
        self._rows[self._count] = self.running.row
        self._count += 1
        self.running = BarBuilder(self.running.row[CLOSE], next_trade_id)

    def _make_room(self) -> None:
        kept = self._rows[max(0, self._count - MAX_ROWS) : self._count]
        self._first_open_ms += (self._count - len(kept)) * SECOND_MS
        spare = np.zeros((max(_SPARE_ROWS, len(kept) // 2), _COLUMNS), dtype=np.int64)
        self._count = len(kept)
        self._rows = np.concatenate([kept, spare])

    def bars(self, interval: str, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int) -> list[Bar]:
        """Bars by open time in [start, end], as `MarketData.klines` promises."""
        edges = self._bar_edges(interval, start_ms, end_ms, limit, now_ms)
        if len(edges) < 2:
            return []
        if interval == "1s":
            rows = self._seconds(edges[0], edges[-1]).tolist()
            return [self._to_bar(row, edges[0] + i * SECOND_MS, SECOND_MS) for i, row in enumerate(rows)]
        return [
            self._to_bar(self.merge(opened, closed), opened, closed - opened)
            for opened, closed in itertools.pairwise(edges)
        ]

    def _bar_edges(self, interval: str, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int) -> list[int]:
        """Open times of the bars asked for, and the end of the last."""
        oldest = bar_open_ms(interval, self._first_open_ms)
        newest = bar_open_ms(interval, min(self.running_open_ms, now_ms))
        if end_ms is not None:
            newest = min(newest, bar_open_ms(interval, end_ms))
        if start_ms is not None and start_ms > oldest:
            oldest = bar_open_ms(interval, start_ms)
            if oldest < start_ms:
                oldest = next_open_ms(interval, oldest)
        if oldest > newest or limit < 1:
            return []
        if interval == "1s":
            count = min(limit, (newest - oldest) // SECOND_MS + 1)
            first = oldest if start_ms is not None else newest - (count - 1) * SECOND_MS
            return [first, first + count * SECOND_MS]
        edges = [oldest]
        while edges[-1] <= newest:
            edges.append(next_open_ms(interval, edges[-1]))
        return edges[: limit + 1] if start_ms is not None else edges[-limit - 1 :]

    def _seconds(self, start_ms: int, stop_ms: int) -> IntArray:
        """Rows of seconds that open in [start, stop), the running one included."""
        first = max(0, (start_ms - self._first_open_ms) // SECOND_MS)
        stop = max(0, (stop_ms - self._first_open_ms) // SECOND_MS)
        rows = self._rows[first : min(stop, self._count)]
        if first <= self._count < stop:
            return np.vstack([rows, np.array(self.running.row, dtype=np.int64)])
        return rows

    def merge(self, start_ms: int, stop_ms: int) -> list[int]:
        """One bar over the seconds that open in [start, stop); there must be one."""
        rows = self._seconds(start_ms, stop_ms)
        # Python integers: a day's quote volume in ticks x steps can pass 63 bits.
        volume, quote, trades, taker, taker_quote = (
            sum(rows[:, column].tolist()) for column in (VOLUME, QUOTE, TRADES, TAKER_VOLUME, TAKER_QUOTE)
        )
        return [
            int(rows[0, OPEN]),
            int(rows[:, HIGH].max()),
            int(rows[:, LOW].min()),
            int(rows[-1, CLOSE]),
            volume,
            quote,
            trades,
            taker,
            taker_quote,
            int(rows[0, FIRST_ID]),
        ]

    def day_row(self, start_ms: int) -> list[int]:
        """One bar from `start_ms` up to now; the closed seconds are added up once a second."""
        second = self.running_open_ms
        if self._day_cache[0] != second:
            self._day_cache = (second, self.merge(start_ms, second))
        return merge_rows(self._day_cache[1], self.running.row)

    def running_bar(self, interval: str, closed_part: list[int] | None, open_ms: int) -> Bar:
        """The running bar of an interval, from its closed seconds (None: there are none yet) and this one."""
        row = self.running.row if closed_part is None else merge_rows(closed_part, self.running.row)
        return self._to_bar(row, open_ms, next_open_ms(interval, open_ms) - open_ms)

    def bar_of(self, row: list[int], interval: str, open_ms: int) -> Bar:
        """A bar of an interval from a merged row."""
        return self._to_bar(row, open_ms, next_open_ms(interval, open_ms) - open_ms)

    def last_closed_row(self) -> list[int]:
        row: list[int] = self._rows[self._count - 1].tolist()
        return row

    def price_before(self, at_ms: int) -> int:
        """Last price in ticks before a moment, or the oldest known."""
        index = (at_ms - self._first_open_ms) // SECOND_MS - 1
        return int(self._rows[min(max(index, 0), self._count - 1), CLOSE])

    def _to_bar(self, row: list[int], open_ms: int, length_ms: int) -> Bar:
        tick, step, unit = self._tick, self._step, self._unit
        return Bar(
            open_ms,
            row[OPEN] * tick,
            row[HIGH] * tick,
            row[LOW] * tick,
            row[CLOSE] * tick,
            row[VOLUME] * step,
            open_ms + length_ms - 1,
            row[QUOTE] * unit,
            row[TRADES],
            row[TAKER_VOLUME] * step,
            row[TAKER_QUOTE] * unit,
            row[FIRST_ID] if row[TRADES] else -1,
            row[FIRST_ID] + row[TRADES] - 1 if row[TRADES] else -1,
        )


def merge_rows(earlier: list[int], later: list[int]) -> list[int]:
    """Two neighbouring bars as one."""
    return [
        earlier[OPEN],
        max(earlier[HIGH], later[HIGH]),
        min(earlier[LOW], later[LOW]),
        later[CLOSE],
        *(earlier[column] + later[column] for column in range(VOLUME, FIRST_ID)),
        earlier[FIRST_ID],
    ]


def history_rows(price_ticks: IntArray, steps: IntArray, buyer_takes: NDArray[np.bool_]) -> IntArray:
    """One-second rows from tick paths, each of shape (seconds, ticks); a tick of no steps is no trade."""
    quote = price_ticks * steps
    traded = (steps > 0).sum(axis=1)
    rows = np.empty((len(steps), _COLUMNS), dtype=np.int64)
    rows[:, OPEN] = price_ticks[:, 0]
    rows[:, HIGH] = price_ticks.max(axis=1)
    rows[:, LOW] = price_ticks.min(axis=1)
    rows[:, CLOSE] = price_ticks[:, -1]
    rows[:, VOLUME] = steps.sum(axis=1)
    rows[:, QUOTE] = quote.sum(axis=1)
    rows[:, TRADES] = traded
    rows[:, TAKER_VOLUME] = np.where(buyer_takes, steps, 0).sum(axis=1)
    rows[:, TAKER_QUOTE] = np.where(buyer_takes, quote, 0).sum(axis=1)
    rows[:, FIRST_ID] = 1 + np.cumsum(traded) - traded
    return rows

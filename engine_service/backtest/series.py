"""Recorded bars of one symbol as columns, checked once: what is wrong is refused by name, never repaired."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine_service.domain.ids import instrument_id, venue_of
from strategies.contracts import Bar
from strategies.times import told

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


class BadBars(ValueError):
    """The bars cannot be traded; ``code`` names the reason, the message says where."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarSeries:
    """The closed bars of one symbol, oldest first; every column has shape (T,).

    ``open_at`` and ``close_at`` are UTC epoch ms, prices in quote, ``volume`` in base units.
    """

    symbol: str
    open_at: Times
    close_at: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.close)

    def bar(self, index: int) -> Bar:
        """Return one bar as strategies see it."""
        return Bar(
            symbol=self.symbol,
            open_at_ms=int(self.open_at[index]),
            close_at_ms=int(self.close_at[index]),
            open=float(self.open[index]),
            high=float(self.high[index]),
            low=float(self.low[index]),
            close=float(self.close[index]),
            volume=float(self.volume[index]),
        )

    def bar_at(self, at_ms: int, *, at_open: bool) -> int:
        """Return the number of the bar that opens (``at_open``) or closes at a time."""
        return int(np.searchsorted(self.open_at if at_open else self.close_at, at_ms))

    def bars_at(self, at_ms: Times, *, at_open: bool) -> Times:
        """Return the numbers of the bars that open or close at these times."""
        return np.searchsorted(self.open_at if at_open else self.close_at, at_ms)

    @property
    def bar_ms(self) -> int:
        """Return the length of a bar."""
        return int(self.close_at[0] - self.open_at[0])

    @property
    def missing(self) -> int:
        """Return how many bars are missing between the first and the last; they are left out, not made up."""
        return int((self.close_at[-1] - self.open_at[0]) // self.bar_ms) - len(self)

    def check(self) -> None:
        """Check what every later step relies on.

        Raises:
            BadBars: ``BARS_EMPTY``, ``BARS_NOT_FINITE``, ``BARS_UNSORTED``, ``BARS_DUPLICATED`` or
                ``BARS_IMPOSSIBLE``, with the first place.
        """
        if not len(self):
            raise BadBars("BARS_EMPTY", f"{self.symbol} has no bars")
        self._check_values()
        self._check_times()

    def _check_values(self) -> None:
        prices = (self.open, self.high, self.low, self.close)
        # One sum is finite exactly where every part is, but for an overflow, which no price comes near.
        total = sum(prices) + self.volume
        self._refuse(
            ~np.isfinite(total),
            "BARS_NOT_FINITE",
            "has a price or a volume that is no number; leave it out: a gap is told, not filled",
        )
        low = np.minimum(self.open, self.close)
        high = np.maximum(self.open, self.close)
        sound = (self.low > 0) & (self.low <= low) & (high <= self.high) & (self.volume >= 0)
        self._refuse(
            ~sound,
            "BARS_IMPOSSIBLE",
            "cannot be: 0 < low <= open, close <= high and volume >= 0; mend it or leave it out",
        )

    def _check_times(self) -> None:
        steps = np.diff(self.open_at)
        self._refuse(np.append(False, steps == 0), "BARS_DUPLICATED", "is there twice; keep the true one")
        self._refuse(
            np.append(False, steps < 0), "BARS_UNSORTED", "comes before its predecessor; sort by symbol and ts"
        )
        overlap = self.close_at[:-1] > self.open_at[1:]
        self._refuse(np.append(False, overlap), "BARS_UNSORTED", "begins before the bar before it ends")

    def _refuse(self, wrong: NDArray[np.bool_], code: str, what: str) -> None:
        if wrong.any():
            at = int(self.open_at[int(np.argmax(wrong))])
            raise BadBars(code, f"the bar of {self.symbol} at {told(at)} {what}")


def checked_symbol(text: str) -> str:
    """Return an instrument's key, ``BTCUSDT.BINANCE``.

    Raises:
        ValueError: it is not written like that.
    """
    return instrument_id(text)


def check_one_venue(symbols: Iterable[str]) -> None:
    """Check that one account can trade these instruments.

    Raises:
        BadBars: they are of several venues (``VENUES_MIXED``).
    """
    if len(venues := {venue_of(symbol) for symbol in symbols}) > 1:
        raise BadBars("VENUES_MIXED", f"one run trades on one venue, not on {', '.join(sorted(venues))}")


def series_of(bars: Iterable[Bar]) -> dict[str, BarSeries]:
    """Return the columns of bars in any order, by symbol, sorted by time.

    Raises:
        BadBars: see ``BarSeries.check``.
    """
    by_symbol: dict[str, list[Bar]] = {}
    for bar in bars:
        by_symbol.setdefault(bar.symbol, []).append(bar)
    return {symbol: _columns(symbol, by_symbol[symbol]) for symbol in sorted(by_symbol)}


def _columns(symbol: str, bars: Sequence[Bar]) -> BarSeries:
    rows = sorted(bars, key=lambda bar: bar.open_at_ms)
    series = BarSeries(
        symbol=symbol,
        open_at=np.array([bar.open_at_ms for bar in rows], dtype=np.int64),
        close_at=np.array([bar.close_at_ms for bar in rows], dtype=np.int64),
        open=np.array([bar.open for bar in rows]),
        high=np.array([bar.high for bar in rows]),
        low=np.array([bar.low for bar in rows]),
        close=np.array([bar.close for bar in rows]),
        volume=np.array([bar.volume for bar in rows]),
    )
    series.check()
    return series

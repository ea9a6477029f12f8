"""The market from now on: tick by tick along the source's path, bent by whatever an operator does to it."""

from __future__ import annotations

from collections.abc import Callable

from engine_service.exchange_sim.enums import Market, Side
from engine_service.exchange_sim.intervals import SECOND_MS
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.market_setup import Member, tick_offset_ms
from engine_service.exchange_sim.matching_engine import MatchingEngine
from engine_service.exchange_sim.price_paths import TICKS_PER_SECOND, PathBlock, PathSource
from engine_service.exchange_sim.public_data import RegimePoint


class LiveMarket:
    """Moves every listing. Times are the market's own: it is advanced, it does not look at a clock."""

    def __init__(
        self,
        source: PathSource,
        followers: list[tuple[Member, Listing]],
        engine: MatchingEngine,
        history: PathBlock,
        first_open_ms: int,
        after_tick: Callable[[Listing, int], None],
    ) -> None:
        """`after_tick` is called for each listing whose price has moved (conditional orders)."""
        self._source = source
        self._followers = followers
        self._engine = engine
        self._after_tick = after_tick
        self._block = source.next_block()
        self._row = 0
        self._tick = 0
        self._second_ms = first_open_ms + len(history) * SECOND_MS
        self._first_open_ms = first_open_ms
        self._regimes: list[int] = history.regimes.tolist()
        self._factors = [1.0] * len(source.symbols)
        self._last_source: list[float] = history.prices[-1, -1].tolist()
        self.volatility_factor = 1.0
        self.is_frozen = False

    @property
    def next_tick_ms(self) -> int:
        """When the next tick (or, after the last of a second, its end) is due."""
        if self._tick == TICKS_PER_SECOND:
            return self._second_ms + SECOND_MS
        return self._second_ms + tick_offset_ms(self._tick)

    @property
    def regime_names(self) -> tuple[str, ...]:
        return self._source.regime_names

    def step(self) -> bool:
        """Do what is due at `next_tick_ms`: True when a second has ended, False for a tick."""
        if self._tick == TICKS_PER_SECOND:
            self._end_second()
            return True
        self._do_tick(self.next_tick_ms)
        self._tick += 1
        return False

    def jump(self, symbol: str, fraction: float) -> None:
        """Move the price of a symbol (`` for all) by a fraction, for good: 0.05 is 5 % up."""
        for column, name in enumerate(self._source.symbols):
            if symbol in ("", name):
                self._factors[column] *= 1.0 + fraction

    def regimes(self, start_ms: int | None, end_ms: int | None) -> list[RegimePoint]:
        """True regime of every closed bar whose open time is in [start, end]; empty where they are unknown."""
        if not self._source.regime_names:
            return []
        first, last = self._first_open_ms, self._second_ms - SECOND_MS
        start = first if start_ms is None else max(first, -(-start_ms // SECOND_MS) * SECOND_MS)
        end = last if end_ms is None else min(last, end_ms)
        return [RegimePoint(at, self._regimes[(at - first) // SECOND_MS]) for at in range(start, end + 1, SECOND_MS)]

    def _do_tick(self, at_ms: int) -> None:
        prices = self._bent_prices()
        if self.is_frozen:
            return
        volumes = self._block.volumes[self._row, self._tick]
        takers = self._block.buyer_takes[self._row, self._tick]
        for member, listing in self._followers:
            price = prices[member.leg]
            if member.divisor is not None:
                price /= prices[member.divisor]
            ticks = max(1, round(price / float(listing.unit_tick)))
            steps = max(1, round(float(volumes[member.leg]) * member.volume_frac / float(listing.unit_step)))
            taker = Side.BUY if takers[member.leg] else Side.SELL
            if volumes[member.leg] <= 0:
                steps = 0
            self._move(listing, ticks, steps, taker, at_ms)

    def _bent_prices(self) -> list[float]:
        """Source prices of this tick with jumps, frozen times and the volatility factor worked in."""
        raw: list[float] = self._block.prices[self._row, self._tick].tolist()
        for column, price in enumerate(raw):
            moved = price / self._last_source[column]
            if self.is_frozen:
                self._factors[column] /= moved
            elif self.volatility_factor != 1.0:
                self._factors[column] *= moved ** (self.volatility_factor - 1.0)
        self._last_source = raw
        return [price * factor for price, factor in zip(raw, self._factors, strict=True)]

    def _move(self, listing: Listing, ticks: int, steps: int, taker: Side, at_ms: int) -> None:
        listing.quotes.quote_around(ticks, taker is Side.BUY)
        listing.touch_book()
        if listing.spec.market is Market.FUTURES:
            listing.mark_price = listing.to_price(ticks)
        self._engine.cross_quotes(listing, at_ms)
        if steps:
            # the crowd's trade meets orders of accounts that are as good as the market maker's quote first
            met = self._engine.house_takes(listing, taker, ticks, steps, at_ms)
            listing.print_trades([(ticks, max(1, steps - met))], taker, at_ms)
        self._after_tick(listing, at_ms)
        listing.publish_book(at_ms)
        listing.publish_klines(at_ms)

    def _end_second(self) -> None:
        for _, listing in self._followers:
            listing.close_second()
        self._regimes.append(int(self._block.regimes[self._row]))
        self._second_ms += SECOND_MS
        self._tick = 0
        self._row += 1
        if self._row == len(self._block):
            self._block = self._source.next_block()
            self._row = 0

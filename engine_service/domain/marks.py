"""The newest prices, and what one asset is worth in another. Memory only: prices are never journaled."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import force_setattr

from engine_service.domain.ids import REMEMBERED, Market, local_symbol, venue_of
from engine_service.domain.money import EXACT, ONE, ZERO, exactly, quantise
from engine_service.domain.order_status import OrderSide

MarkKey = tuple[str, Market]
MARKETS = tuple(Market)
#: Coins whose pairs serve as a bridge where an asset has no pair with the reporting currency.
BRIDGES = ("BTC", "ETH", "BNB", "USDC")


TWO = Decimal(2)


class Mark(Struct, frozen=True, kw_only=True, gc=False):
    """Best bid and ask of one instrument in quote per base.

    ``at_s`` is when this machine received it, by its monotonic clock: a wall clock that is set back would make every
    later mark an older one.

    ``is_valid`` is false for an empty, crossed or non-finite book; ``price`` is the middle, at most 18 decimals, and 0
    of an invalid book. Both follow from the rest, whatever is handed in.
    """

    symbol: str
    market: Market
    bid: Decimal
    ask: Decimal
    at_s: float
    last: Decimal | None = None
    is_valid: bool = False
    price: Decimal = ZERO

    def __post_init__(self) -> None:
        # Worked out once: a mark is asked many times, by every order and for every line it values.
        bid, ask = self.bid, self.ask
        valid = bid.is_finite() and ask.is_finite() and ZERO < bid <= ask
        force_setattr(self, "is_valid", valid)
        force_setattr(self, "price", middle(bid, ask) if valid else ZERO)

    def touch(self, side: OrderSide) -> Decimal:
        """Return what an order of ``side`` would trade at first."""
        return self.ask if side is OrderSide.BUY else self.bid

    def age_ms(self, now_s: float) -> int:
        """Return how old it is at a moment of the monotonic clock."""
        return round((now_s - self.at_s) * 1000)


def middle(bid: Decimal, ask: Decimal) -> Decimal:
    """Return the price between two, at most 18 decimals."""
    return bid if bid == ask else quantise(EXACT.divide(EXACT.add(bid, ask), TWO))


class MarkBook:
    """Newest mark per instrument. Listeners hear of every change: incremental valuations live on that."""

    def __init__(self, reporting: str = "USDT") -> None:
        self.reporting = reporting
        self._marks: dict[MarkKey, Mark] = {}
        self._listeners: list[Callable[[Mark], None]] = []

    def listen(self, listener: Callable[[Mark], None]) -> None:
        """Call ``listener`` after every update, in the updater's own turn."""
        self._listeners.append(listener)

    def update(self, mark: Mark) -> None:
        """Keep the newest mark; one that is older than what is known is ignored."""
        key = (mark.symbol, mark.market)
        known = self._marks.get(key)
        if known is not None and mark.at_s < known.at_s:
            return
        self._marks[key] = mark
        for listener in self._listeners:
            listener(mark)

    def get(self, symbol: str, market: Market) -> Mark | None:
        """Return the newest mark of an instrument."""
        return self._marks.get((symbol, market))

    def all(self) -> list[Mark]:
        """Return every newest mark."""
        return list(self._marks.values())

    def price(self, symbol: str, market: Market) -> Decimal | None:
        """Return the middle of a valid mark, else ``None``."""
        mark = self._marks.get((symbol, market))
        return mark.price if mark is not None and mark.is_valid else None

    def rate(self, venue: str, asset: str) -> Decimal | None:
        """Return reporting currency per unit of ``asset`` by this venue's own prices, or ``None``."""
        return ONE if asset == self.reporting else self._rate(venue, asset)

    @exactly
    def _rate(self, venue: str, asset: str) -> Decimal | None:
        direct = self._direct(venue, asset, self.reporting)
        if direct is not None:
            return direct
        for bridge in BRIDGES:
            first, second = self._direct(venue, asset, bridge), self._direct(venue, bridge, self.reporting)
            if bridge != asset and first is not None and second is not None:
                return quantise(first * second)
        return None

    def _direct(self, venue: str, asset: str, into: str) -> Decimal | None:
        symbol = asset_symbol(asset, into, venue)
        for market in MARKETS:
            price = self.price(symbol, market)
            if price is not None:
                return price
        inverse = self.price(asset_symbol(into, asset, venue), Market.SPOT)
        return None if inverse is None else quantise(ONE / inverse)


@lru_cache(REMEMBERED)
def asset_symbol(asset: str, reporting: str, venue: str) -> str:
    """Return the instrument under which a holding of ``asset`` is shown: BTC gives ``BTCUSDT.BINANCE``."""
    return f"{asset}{reporting}.{venue}"


def asset_of(symbol: str, reporting: str) -> str | None:
    """Return the asset that an instrument prices in the reporting currency, or ``None`` for another quote."""
    local = local_symbol(symbol)
    return local.removesuffix(reporting) if local.endswith(reporting) and local != reporting else None


def venue_asset(symbol: str, reporting: str) -> tuple[str, str] | None:
    """Return (venue, asset) of an instrument quoted in the reporting currency."""
    asset = asset_of(symbol, reporting)
    return None if asset is None else (venue_of(symbol), asset)

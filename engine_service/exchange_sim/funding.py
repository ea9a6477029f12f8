"""Mark prices, funding rates and their history on USD-M."""

from __future__ import annotations

from decimal import Decimal

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.intervals import HOUR_MS
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.listings import Listings
from engine_service.exchange_sim.public_data import FundingRate, MarkPrice

DEFAULT_FUNDING_INTERVAL_MS = 8 * HOUR_MS
INTEREST_RATE = Decimal("0.0001")
_RATE_CLAMP = Decimal("0.0005")
_DIGITS = Decimal("1E-8")


class FundingBoard:
    """Premium index of every USD-M symbol, and the fundings that took place."""

    def __init__(self, listings: Listings, interval_ms: int, now_ms: int) -> None:
        self._listings = listings
        self.interval_ms = interval_ms
        self.next_ms = now_ms // interval_ms * interval_ms + interval_ms
        self._history: list[FundingRate] = []
        self._recall(now_ms)

    def _recall(self, now_ms: int) -> None:
        """The fundings that fell into the history, at its prices and the interest rate."""
        for listing in self._listings.of(Market.FUTURES):
            oldest = listing.bars.first_open_ms
            first = -(-oldest // self.interval_ms) * self.interval_ms
            for at_ms in range(first, now_ms + 1, self.interval_ms):
                mark = listing.to_price(listing.bars.price_before(at_ms))
                self._history.append(FundingRate(listing.spec.symbol, at_ms, INTEREST_RATE, mark))
        self._history.sort(key=lambda f: f.at_ms)

    def premium(self, listing: Listing, at_ms: int) -> MarkPrice:
        """Mark, index and the rate that the next funding will take as things stand.

        Rate = premium + clamp(interest - premium, +-0.05 %), after the venue's published formula with the present
        premium in place of its average.
        """
        index = self._listings.spot_price(listing.spec.symbol) or listing.mark_price
        premium = (listing.mark_price - index) / index
        rate = premium + max(-_RATE_CLAMP, min(_RATE_CLAMP, INTEREST_RATE - premium))
        return MarkPrice(
            symbol=listing.spec.symbol,
            mark=listing.mark_price,
            index=index,
            settle=index,
            funding_rate=rate.quantize(_DIGITS),
            next_funding_ms=self.next_ms,
            interest_rate=INTEREST_RATE,
            at_ms=at_ms,
        )

    def is_due(self, now_ms: int) -> bool:
        return now_ms >= self.next_ms

    def fix(self) -> list[FundingRate]:
        """Take the rates of the funding that is due, keep them, and set the next date."""
        at_ms = self.next_ms
        fixed = []
        for listing in self._listings.of(Market.FUTURES):
            premium = self.premium(listing, at_ms)
            fixed.append(FundingRate(listing.spec.symbol, at_ms, premium.funding_rate, premium.mark))
        self._history += fixed
        self.next_ms += self.interval_ms
        return fixed

    def history(self, symbol: str | None, start_ms: int | None, end_ms: int | None, limit: int) -> list[FundingRate]:
        """Fundings in [start, end], oldest first; without a start the last `limit`."""
        found = [
            f
            for f in self._history
            if symbol in (None, f.symbol)
            and (start_ms is None or f.at_ms >= start_ms)
            and (end_ms is None or f.at_ms <= end_ms)
        ]
        return found[:limit] if start_ms is not None else found[-limit:]

"""What a venue's answer means for the request: certainly not done, unknown, duplicate, or stop the venue.

Unknown unless listed. The tables give each venue code a stable name for callers; the class never depends on an error's
wording, except for the one text that the venue itself documents as the duplicate-id answer, where the wording is the
only difference to an ordinary refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from engine_service.domain.ids import Market
from engine_service.venues.reports import OutcomeUnknown, Rejected


class Meaning(StrEnum):
    """N, U, D, F of the outcome table."""

    NOT_DONE = "N"
    UNKNOWN = "U"
    DUPLICATE = "D"
    STOP = "F"


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that did not bring what was asked for.

    ``not_sent`` tells that no byte left this machine. ``venue_code`` is the venue's own number, 0 without one.
    ``data`` is what the venue added to its error: the legs of a cancel-replace.
    """

    meaning: Meaning
    code: str
    reason: str
    venue_code: int = 0
    not_sent: bool = False
    retry_after_s: float = 0.0
    data: object = None

    def with_data(self, data: object) -> Failure:
        """Return the same failure with what the venue added to its error."""
        return replace(self, data=data)

    def as_outcome(self) -> Rejected | OutcomeUnknown:
        """Say it in the port's words."""
        if self.meaning in {Meaning.UNKNOWN, Meaning.DUPLICATE}:
            return OutcomeUnknown(reason=f"{self.code}: {self.reason}", duplicate=self.meaning is Meaning.DUPLICATE)
        return Rejected(
            code=self.code,
            reason=self.reason,
            not_sent=self.not_sent,
            stop_venue=self.meaning is Meaning.STOP,
            retry_after_s=self.retry_after_s,
        )


#: Venue codes that certainly mean "not done", with the name that callers see.
NOT_DONE: dict[int, str] = {
    -1003: "VENUE_RATE_LIMITED",
    -1013: "VENUE_FILTER_FAILURE",
    -1111: "VENUE_FILTER_FAILURE",
    -1014: "VENUE_BAD_REQUEST",
    -1015: "VENUE_ORDER_RATE_LIMITED",
    -1020: "VENUE_BAD_REQUEST",
    -1021: "VENUE_TIMESTAMP",
}
#: The same on USD-M, where the numbers from -2018 on have other meanings than on spot.
NOT_DONE_FUTURES: dict[int, str] = {
    -2018: "VENUE_INSUFFICIENT_FUNDS",
    -2019: "VENUE_INSUFFICIENT_FUNDS",
    -2020: "VENUE_NO_LIQUIDITY",
    -2021: "VENUE_WOULD_TRIGGER",
    -2022: "VENUE_REDUCE_ONLY",
    -2023: "VENUE_LIQUIDATION_MODE",
    -2024: "VENUE_INSUFFICIENT_FUNDS",
    -2025: "VENUE_TOO_MANY_OPEN_ORDERS",
    -2026: "VENUE_REDUCE_ONLY",
    -2027: "VENUE_LEVERAGE_LIMIT",
    -2028: "VENUE_LEVERAGE_LIMIT",
    -4118: "VENUE_REDUCE_ONLY",
    -4120: "VENUE_ALGO_ENDPOINT_NEEDED",
    -4131: "VENUE_PRICE_FILTER",
    -4140: "VENUE_SYMBOL_CLOSED",
    -4141: "VENUE_SYMBOL_CLOSED",
    -4164: "VENUE_MIN_NOTIONAL",
    -4183: "VENUE_PRICE_FILTER",
    -4184: "VENUE_PRICE_FILTER",
    -4400: "VENUE_REDUCE_ONLY",
    -5021: "VENUE_FOK_NOT_FILLED",
    -5022: "VENUE_WOULD_TAKE",
}
STOP: dict[int, str] = {
    -1002: "VENUE_UNAUTHORIZED",
    -1016: "VENUE_SHUT_DOWN",
    -1022: "VENUE_SIGNATURE",
    -2014: "VENUE_UNAUTHORIZED",
    -2015: "VENUE_UNAUTHORIZED",
}
DUPLICATE_FUTURES = frozenset({-4115, -4116, -20132})
_BAD_REQUEST = range(-1199, -1099)
_FUTURES_FILTER = range(-4099, -3999)
_DUPLICATE_TEXT = "Duplicate order sent."

#: The documented texts of -2010 and -1010, for a finer name only; the class is the same for all of them.
_REJECT_NAMES = {
    "Account has insufficient balance for requested action.": "VENUE_INSUFFICIENT_FUNDS",
    "Order would immediately match and take.": "VENUE_WOULD_TAKE",
    "Order would trigger immediately.": "VENUE_WOULD_TRIGGER",
    "Stop price would trigger immediately.": "VENUE_WOULD_TRIGGER",
    "The relationship of the prices for the orders is not correct.": "VENUE_WOULD_TRIGGER",
    "Market is closed.": "VENUE_SYMBOL_CLOSED",
    "This action is disabled on this account.": "VENUE_ACCOUNT_DISABLED",
    "This account may not place or cancel orders.": "VENUE_ACCOUNT_DISABLED",
}


def meaning_of(venue_code: int, text: str, market: Market) -> tuple[Meaning, str]:
    """Return the class and the caller's code of a venue error code; unknown by default."""
    if venue_code in {-2010, -1010}:
        return _rejection(venue_code, text)
    if venue_code in STOP:
        return Meaning.STOP, STOP[venue_code]
    if venue_code in NOT_DONE:
        return Meaning.NOT_DONE, NOT_DONE[venue_code]
    if venue_code in _BAD_REQUEST:
        return Meaning.NOT_DONE, "VENUE_BAD_REQUEST"
    return _futures_meaning(venue_code) if market is Market.FUTURES else (Meaning.UNKNOWN, "VENUE_UNKNOWN")


def _rejection(venue_code: int, text: str) -> tuple[Meaning, str]:
    if venue_code == -2010 and text == _DUPLICATE_TEXT:
        return Meaning.DUPLICATE, "VENUE_DUPLICATE_ID"
    return Meaning.NOT_DONE, _REJECT_NAMES.get(text, "VENUE_REJECTED")


def _futures_meaning(venue_code: int) -> tuple[Meaning, str]:
    if venue_code in DUPLICATE_FUTURES:
        return Meaning.DUPLICATE, "VENUE_DUPLICATE_ID"
    if venue_code in NOT_DONE_FUTURES:
        return Meaning.NOT_DONE, NOT_DONE_FUTURES[venue_code]
    if venue_code in _FUTURES_FILTER:
        return Meaning.NOT_DONE, "VENUE_FILTER_FAILURE"
    return Meaning.UNKNOWN, "VENUE_UNKNOWN"


def failure_of(status: int, venue_code: int, text: str, market: Market, retry_after_s: float = 0.0) -> Failure:
    """Classify an answer by HTTP status first, then by the venue's code.

    Args:
        status: the HTTP (or WebSocket API) status.
        venue_code: the venue's error code, 0 where the body had none that could be read.
    """
    reason = f"{venue_code} {text}".strip() if venue_code else f"HTTP {status}"
    if status == 418:
        return Failure(Meaning.STOP, "VENUE_BANNED", reason, venue_code, retry_after_s=retry_after_s)
    if status == 429:
        return Failure(Meaning.NOT_DONE, "VENUE_RATE_LIMITED", reason, venue_code, retry_after_s=retry_after_s)
    if venue_code == 0 and status in {403, 451}:
        return Failure(Meaning.STOP, "VENUE_ADDRESS_REFUSED", reason, retry_after_s=60.0 if status == 403 else 0.0)
    if not 400 <= status < 500 or status == 408:
        return Failure(Meaning.UNKNOWN, "VENUE_UNKNOWN", reason, venue_code)
    meaning, code = meaning_of(venue_code, text, market)
    return Failure(meaning, code, reason, venue_code)

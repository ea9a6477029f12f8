"""Which instruments may be traded: five buckets, with hysteresis, a reason and a date for every move.

``QUARANTINE`` newcomers and returners must show several clean scans over hours; ``CANDIDATE`` good enough, waiting for
a place; ``ACTIVE`` collected, modelled, tradable; ``DEMOTED`` fell below the lower threshold or stopped trading;
``RETIRED`` gone for long. A retired instrument that is listed again starts over in quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Bucket(StrEnum):
    """Where an instrument stands."""

    QUARANTINE = "QUARANTINE"
    CANDIDATE = "CANDIDATE"
    ACTIVE = "ACTIVE"
    DEMOTED = "DEMOTED"
    RETIRED = "RETIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the venue says of one instrument now. ``turnover_24h`` is in quote units."""

    symbol: str
    base: str
    quote: str
    trading: bool
    turnover_24h: float
    last_price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UniversePolicy:
    """The thresholds of ``config/universe.yaml``.

    ``min_turnover`` lets an instrument in, the lower ``keep_turnover`` keeps an active one in (both quote per 24 h).
    ``admit_first_scan``: the very first scan, which has no past to judge by, admits what passes at once.
    """

    quote_assets: tuple[str, ...]
    excluded_bases: tuple[str, ...]
    min_turnover: float
    keep_turnover: float
    max_active: int
    quarantine_s: int
    quarantine_clean_scans: int
    retire_after_s: int
    admit_first_scan: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One instrument's place. ``clean_scans`` counts scans in a row that found nothing wrong with it."""

    symbol: str
    bucket: Bucket
    reason: str
    since_ms: int
    first_seen_ms: int
    clean_scans: int
    turnover_24h: float
    last_price: float


def scan(
    known: Mapping[str, Membership], listings: Sequence[Listing], policy: UniversePolicy, now_ms: int
) -> dict[str, Membership]:
    """Return every instrument's place after a look at the venue, by symbol.

    Instruments of other quote assets or excluded bases are not considered. An instrument that is no longer listed is
    treated as one that stopped trading.
    """
    offered = {listing.symbol: listing for listing in listings if _considered(listing, policy)}
    first_scan = not known
    places: dict[str, Membership] = {}
    for symbol in sorted({*known, *offered}):
        listing, before = offered.get(symbol), known.get(symbol)
        if before is None and listing is not None:
            places[symbol] = _newcomer(listing, policy, now_ms, first_scan=first_scan)
        elif before is not None:
            places[symbol] = _next(before, listing, policy, now_ms)
    return _fill_places(places, policy, now_ms)


def moves(before: Mapping[str, Membership], after: Mapping[str, Membership]) -> list[Membership]:
    """Return the places that changed their bucket, or are new."""
    return [place for symbol, place in after.items() if symbol not in before or before[symbol].bucket != place.bucket]


def active(places: Mapping[str, Membership]) -> list[str]:
    """Return the active symbols, by falling turnover."""
    chosen = [place for place in places.values() if place.bucket is Bucket.ACTIVE]
    return [place.symbol for place in sorted(chosen, key=_rank)]


def _considered(listing: Listing, policy: UniversePolicy) -> bool:
    return listing.quote in policy.quote_assets and listing.base not in policy.excluded_bases


def _newcomer(listing: Listing, policy: UniversePolicy, now_ms: int, *, first_scan: bool) -> Membership:
    place = Membership(
        symbol=listing.symbol,
        bucket=Bucket.QUARANTINE,
        reason="NEW_LISTING",
        since_ms=now_ms,
        first_seen_ms=now_ms,
        clean_scans=0,
        turnover_24h=listing.turnover_24h,
        last_price=listing.last_price,
    )
    if first_scan and policy.admit_first_scan and not _fault(listing, policy.min_turnover):
        return replace(place, bucket=Bucket.CANDIDATE, reason="FIRST_SCAN", clean_scans=1)
    return place


def _next(before: Membership, listing: Listing | None, policy: UniversePolicy, now_ms: int) -> Membership:
    limit = policy.keep_turnover if before.bucket is Bucket.ACTIVE else policy.min_turnover
    fault = _fault(listing, limit)
    seen = before
    if listing is not None:
        seen = replace(before, turnover_24h=listing.turnover_24h, last_price=listing.last_price)
    seen = replace(seen, clean_scans=0 if fault else before.clean_scans + 1)
    match before.bucket:
        case Bucket.QUARANTINE:
            return _leave_quarantine(seen, fault, policy, now_ms)
        case Bucket.CANDIDATE | Bucket.ACTIVE:
            return _moved(seen, Bucket.DEMOTED, fault, now_ms) if fault else seen
        case Bucket.DEMOTED:
            return _leave_demoted(seen, fault, policy, now_ms)
        case Bucket.RETIRED:
            relisted = listing is not None and listing.trading
            return _moved(seen, Bucket.QUARANTINE, "RELISTED", now_ms) if relisted else seen


def _fault(listing: Listing | None, min_turnover: float) -> str:
    """Return what is wrong with an instrument now, empty where nothing is."""
    if listing is None:
        return "DELISTED"
    if not listing.trading:
        return "NOT_TRADING"
    if not listing.last_price > 0:
        return "NO_PRICE"
    return "" if listing.turnover_24h >= min_turnover else "TURNOVER_TOO_LOW"


def _leave_quarantine(seen: Membership, fault: str, policy: UniversePolicy, now_ms: int) -> Membership:
    if fault in {"DELISTED", "NOT_TRADING"} and _rested(seen, policy.retire_after_s, now_ms):
        return _moved(seen, Bucket.RETIRED, fault, now_ms)
    served = _rested(seen, policy.quarantine_s, now_ms)
    if not fault and served and seen.clean_scans >= policy.quarantine_clean_scans:
        return _moved(seen, Bucket.CANDIDATE, "QUARANTINE_SERVED", now_ms)
    return seen


def _leave_demoted(seen: Membership, fault: str, policy: UniversePolicy, now_ms: int) -> Membership:
    if not fault and seen.clean_scans >= policy.quarantine_clean_scans:
        return _moved(seen, Bucket.CANDIDATE, "RECOVERED", now_ms)
    if fault and _rested(seen, policy.retire_after_s, now_ms):
        return _moved(seen, Bucket.RETIRED, fault, now_ms)
    return seen


def _rested(seen: Membership, seconds: int, now_ms: int) -> bool:
    return now_ms - seen.since_ms >= seconds * 1000


def _moved(place: Membership, bucket: Bucket, reason: str, now_ms: int) -> Membership:
    return replace(place, bucket=bucket, reason=reason, since_ms=now_ms, clean_scans=0)


def _fill_places(places: dict[str, Membership], policy: UniversePolicy, now_ms: int) -> dict[str, Membership]:
    """Give free places to the candidates with the most turnover; active ones are never pushed out by rank alone."""
    held = sum(place.bucket is Bucket.ACTIVE for place in places.values())
    waiting = sorted((place for place in places.values() if place.bucket is Bucket.CANDIDATE), key=_rank)
    admitted = waiting[: max(0, policy.max_active - held)]
    chosen = {place.symbol: _moved(place, Bucket.ACTIVE, "ADMITTED", now_ms) for place in admitted}
    return {**places, **chosen}


def _rank(place: Membership) -> tuple[float, str]:
    return (-place.turnover_24h, place.symbol)

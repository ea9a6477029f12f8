"""The life of an instrument: in by merit and patience, out by fault, back by starting over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from strategies.universe import Bucket, Listing, Membership, UniversePolicy, active, moves, scan

HOUR = 3_600_000
POLICY = UniversePolicy(
    quote_assets=("USDT",),
    excluded_bases=("USDC",),
    min_turnover=100.0,
    keep_turnover=50.0,
    max_active=3,
    quarantine_s=6 * 3600,
    quarantine_clean_scans=3,
    retire_after_s=72 * 3600,
    admit_first_scan=True,
)
STRICT = replace(POLICY, admit_first_scan=False)


def listing(base: str = "BTC", turnover: float = 1000.0, *, quote: str = "USDT", trading: bool = True) -> Listing:
    return Listing(
        symbol=f"{base}{quote}.BINANCE",
        base=base,
        quote=quote,
        trading=trading,
        turnover_24h=turnover,
        last_price=10.0,
    )


def live(hours: list[float], *, policy: UniversePolicy = STRICT, **changes: float) -> dict[str, Membership]:
    """Scan one good listing at the given hours; ``h<hour>=turnover`` changes a single scan's turnover."""
    places: dict[str, Membership] = {}
    for hour in hours:
        turnover = changes.get(f"h{hour:g}", 1000.0)
        places = scan(places, [listing(turnover=turnover)], policy, int(hour * HOUR))
    return places


def bucket(places: dict[str, Membership], symbol: str = "BTCUSDT.BINANCE") -> Bucket:
    return places[symbol].bucket


def test_the_first_scan_admits_what_passes_and_quarantines_the_rest() -> None:
    places = scan({}, [listing("BTC"), listing("NEW", 10.0)], POLICY, 0)
    assert active(places) == ["BTCUSDT.BINANCE"]
    assert bucket(places, "NEWUSDT.BINANCE") is Bucket.QUARANTINE


def test_a_newcomer_waits_six_hours_and_three_clean_scans() -> None:
    assert bucket(live([0, 2, 4])) is Bucket.QUARANTINE, "three scans, but too early"
    assert bucket(live([0, 7, 8])) is Bucket.QUARANTINE, "six hours, but only two clean scans"
    assert bucket(live([0, 2, 4, 6])) is Bucket.ACTIVE


def test_one_bad_scan_starts_the_count_of_clean_ones_again() -> None:
    assert bucket(live([0, 2, 4, 6], h4=10.0)) is Bucket.QUARANTINE
    assert bucket(live([0, 2, 4, 6, 8, 10], h4=10.0)) is Bucket.ACTIVE


def test_an_active_instrument_stays_between_the_thresholds_and_leaves_below_the_lower_one() -> None:
    assert bucket(live([0, 1], policy=POLICY, h1=60.0)) is Bucket.ACTIVE
    demoted = live([0, 1], policy=POLICY, h1=40.0)["BTCUSDT.BINANCE"]
    assert (demoted.bucket, demoted.reason, demoted.since_ms) == (Bucket.DEMOTED, "TURNOVER_TOO_LOW", HOUR)


def test_a_demoted_instrument_comes_back_after_clean_scans_at_the_upper_threshold() -> None:
    assert bucket(live([0, 1, 2, 3, 4], policy=POLICY, h1=40.0, h2=60.0)) is Bucket.DEMOTED
    assert bucket(live([0, 1, 2, 3, 4], policy=POLICY, h1=40.0)) is Bucket.ACTIVE


@pytest.mark.parametrize("gone", [[], [listing(trading=False)]], ids=["not listed", "halted"])
def test_what_stops_trading_is_demoted_at_once_and_retired_later(gone: list[Listing]) -> None:
    places = scan(live([0], policy=POLICY), gone, POLICY, HOUR)
    assert bucket(places) is Bucket.DEMOTED
    assert bucket(scan(places, gone, POLICY, 72 * HOUR)) is Bucket.DEMOTED
    assert bucket(scan(places, gone, POLICY, 73 * HOUR)) is Bucket.RETIRED


def test_a_retired_instrument_that_is_listed_again_starts_over() -> None:
    places = live([0], policy=POLICY)
    for hour in (1, 73):
        places = scan(places, [], POLICY, hour * HOUR)
    again = scan(places, [listing()], POLICY, 80 * HOUR)["BTCUSDT.BINANCE"]
    assert (again.bucket, again.reason, again.first_seen_ms) == (Bucket.QUARANTINE, "RELISTED", 0)


def test_places_go_by_turnover_and_nobody_is_pushed_out_by_rank() -> None:
    small = [listing(name, 100.0 + index) for index, name in enumerate("ABCDE")]
    places = scan({}, small, POLICY, 0)
    assert active(places) == ["EUSDT.BINANCE", "DUSDT.BINANCE", "CUSDT.BINANCE"]
    grown = [replace(entry, turnover_24h=9000.0) if entry.base == "A" else entry for entry in small]
    assert "AUSDT.BINANCE" not in active(scan(places, grown, POLICY, HOUR))


def test_other_quotes_and_excluded_bases_are_not_considered() -> None:
    assert scan({}, [listing("ETH", quote="BTC"), listing("USDC")], POLICY, 0) == {}


def test_a_price_that_is_not_a_number_keeps_an_instrument_out() -> None:
    broken = replace(listing(), last_price=float("nan"))
    assert bucket(scan({}, [broken], POLICY, 0)) is Bucket.QUARANTINE


def test_moves_are_changes_of_bucket_and_newcomers() -> None:
    before = live([0], policy=POLICY)
    assert moves(before, scan(before, [listing()], POLICY, HOUR)) == []
    (moved,) = moves(before, scan(before, [], POLICY, HOUR))
    assert moved.reason == "DELISTED"
    assert len(moves({}, before)) == 1

"""What anyone may read of an engine that is not ready."""

from __future__ import annotations

import pytest

from engine_service.api.health import for_anyone


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("recovering", "recovering"),
        ("venue BINANCE: VENUE_UNREACHABLE", "venue BINANCE: VENUE_UNREACHABLE"),
        (
            "venue BINANCE: VENUE_UNAUTHORIZED: -2015 Invalid API-key, request ip: 203.0.113.9",
            "venue BINANCE: VENUE_UNAUTHORIZED",
        ),
        ("journal: OperationalError: disk I/O error", "journal: OperationalError: disk I/O error"),
    ],
)
def test_a_venues_own_words_are_for_the_log(reason: str, shown: str) -> None:
    assert for_anyone(reason) == shown

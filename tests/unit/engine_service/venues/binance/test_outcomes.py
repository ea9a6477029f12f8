"""The outcome table of the reliability rules, row by row."""

import pytest

from engine_service.domain.errors import ConfigurationError
from engine_service.domain.ids import Market
from engine_service.venues.binance.base import unusable_credentials
from engine_service.venues.binance.outcomes import Failure, Meaning, failure_of
from engine_service.venues.binance.parse import read_answer
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import OutcomeUnknown, Rejected

ROWS = [
    # HTTP status, venue code, text, market, class
    (500, 0, "", Market.SPOT, "U"),
    (502, 0, "", Market.SPOT, "U"),
    (503, -1008, "Server is currently overloaded", Market.SPOT, "U"),
    (503, -1000, "Unknown error, please check your request or try again later.", Market.FUTURES, "U"),
    (504, -1007, "Timeout waiting for response from backend server.", Market.SPOT, "U"),
    (400, -1000, "An unknown error occurred", Market.SPOT, "U"),
    (400, -1001, "Internal error", Market.SPOT, "U"),
    (400, -1006, "An unexpected response was received", Market.SPOT, "U"),
    (400, -1007, "Timeout", Market.SPOT, "U"),
    (400, -1008, "Server busy", Market.SPOT, "U"),
    (408, 0, "", Market.FUTURES, "U"),
    (400, -9999, "a code nobody has seen", Market.SPOT, "U"),
    (400, -9999, "a code nobody has seen", Market.FUTURES, "U"),
    (400, 0, "", Market.SPOT, "U"),
    (302, 0, "", Market.SPOT, "U"),
    (400, -1013, "Filter failure: LOT_SIZE", Market.SPOT, "N"),
    (400, -1021, "Timestamp for this request is outside of the recvWindow.", Market.SPOT, "N"),
    (400, -1100, "Illegal characters", Market.SPOT, "N"),
    (400, -1111, "Too much precision", Market.SPOT, "N"),
    (400, -1121, "Invalid symbol.", Market.SPOT, "N"),
    (400, -2010, "Account has insufficient balance for requested action.", Market.SPOT, "N"),
    (400, -2010, "Anything else the engine says", Market.SPOT, "N"),
    (400, -1010, "Market is closed.", Market.SPOT, "N"),
    (400, -2010, "Duplicate order sent.", Market.SPOT, "D"),
    (400, -4116, "ClientOrderId is duplicated.", Market.FUTURES, "D"),
    (400, -1015, "Too many new orders", Market.SPOT, "N"),
    (429, -1003, "Too much request weight used", Market.SPOT, "N"),
    (429, 0, "", Market.SPOT, "N"),
    (418, -1003, "Way too much request weight used; IP banned", Market.SPOT, "F"),
    (401, -2014, "API-key format invalid.", Market.SPOT, "F"),
    (401, -2015, "Invalid API-key, IP, or permissions for action.", Market.SPOT, "F"),
    (400, -1022, "Signature for this request is not valid.", Market.SPOT, "F"),
    (401, -1002, "You are not authorized", Market.SPOT, "F"),
    (400, -1016, "This service is no longer available.", Market.SPOT, "F"),
    (403, 0, "", Market.SPOT, "F"),
    (451, 0, "", Market.SPOT, "F"),
    (400, -2019, "Margin is insufficient.", Market.FUTURES, "N"),
    (400, -2019, "not a code that spot documents", Market.SPOT, "U"),
    (400, -2022, "ReduceOnly Order is rejected.", Market.FUTURES, "N"),
    (400, -4120, "Order type not supported for this endpoint", Market.FUTURES, "N"),
    (400, -5022, "Post Only order will be rejected.", Market.FUTURES, "N"),
]


@pytest.mark.parametrize(("status", "code", "text", "market", "meaning"), ROWS)
def test_each_row_of_the_outcome_table_has_its_class(
    status: int, code: int, text: str, market: Market, meaning: str
) -> None:
    assert failure_of(status, code, text, market).meaning.value == meaning


def test_a_duplicate_id_is_evidence_to_look_the_order_up_and_never_a_rejection() -> None:
    outcome = failure_of(400, -2010, "Duplicate order sent.", Market.SPOT).as_outcome()
    assert isinstance(outcome, OutcomeUnknown)
    assert outcome.duplicate


def test_a_ban_stops_the_venue_and_says_for_how_long() -> None:
    outcome = failure_of(418, -1003, "banned", Market.SPOT, retry_after_s=120.0).as_outcome()
    assert outcome == Rejected(code="VENUE_BANNED", reason="-1003 banned", stop_venue=True, retry_after_s=120.0)


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>502</html>", b'{"orderId": 1', b'{"code": -2010, "msg": "x"}', b"\xff\xfe{}", b"NaN"],
)
def test_a_good_status_with_a_body_that_proves_nothing_is_unknown(raw: bytes) -> None:
    answer = read_answer(200, raw, Market.SPOT)
    assert isinstance(answer, Failure)
    assert answer.meaning is Meaning.UNKNOWN


def test_an_error_page_of_a_proxy_is_judged_by_its_status_alone() -> None:
    answer = read_answer(502, b"<html>-2010</html>", Market.SPOT)
    assert isinstance(answer, Failure)
    assert answer.meaning is Meaning.UNKNOWN


def test_a_ban_of_the_address_is_not_told_as_a_refused_key() -> None:
    banned = failure_of(418, -1003, "Way too many requests; IP banned.", Market.SPOT, 120.0)
    error = unusable_credentials(banned)
    assert isinstance(error, VenueUnavailable)
    assert (error.code, error.retry_after_s) == ("VENUE_BANNED", 120.0)
    revoked = failure_of(401, -2015, "Invalid API-key, IP, or permissions for action.", Market.SPOT)
    assert isinstance(unusable_credentials(revoked), ConfigurationError)

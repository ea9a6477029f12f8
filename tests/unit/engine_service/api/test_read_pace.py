"""How often a caller may read, on a clock that the test moves."""

from __future__ import annotations

import pytest

from engine_service.api.read_pace import SHARED_BY, ReadPace
from engine_service.api.routes import ROUTES
from engine_service.domain.errors import InvalidRequest


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def served(pace: ReadPace, caller: str, most: int) -> int:
    for number in range(most):
        try:
            pace.take(caller)
        except InvalidRequest as refused:
            assert refused.code == "RATE_LIMITED"
            return number
    return most


def test_so_many_at_once_and_as_many_again_within_a_minute() -> None:
    clock = Clock()
    pace = ReadPace(600, clock)
    assert served(pace, "night-desk", 10_000) == 600
    clock.now_s += 6
    assert served(pace, "night-desk", 10_000) == 60
    clock.now_s += 60
    assert served(pace, "night-desk", 10_000) == 600


def test_one_caller_does_not_use_up_what_is_anothers() -> None:
    pace = ReadPace(60, Clock())
    assert served(pace, "night-desk", 100) == 60
    assert served(pace, "day-desk", 100) == 60
    assert served(pace, "read", 10_000) == 60 * SHARED_BY


def test_who_is_refused_is_told_when_to_ask_again() -> None:
    clock = Clock()
    pace = ReadPace(60, clock)
    served(pace, "night-desk", 60)
    with pytest.raises(InvalidRequest) as refused:
        pace.take("night-desk")
    assert refused.value.retry_after_s == 1
    clock.now_s += 1
    pace.take("night-desk")


def test_stopping_and_ordering_are_never_held_up_by_it() -> None:
    paced = {route for route, access in ROUTES.items() if access.is_read}
    assert ("GET", "/portfolio") in paced
    assert ("POST", "/orders/check") in paced
    assert (
        not {("POST", "/control/halt"), ("DELETE", "/orders"), ("POST", "/orders/market"), ("GET", "/readyz")} & paced
    )

"""One budget per host: who goes first, what a 429 and a 418 do, and that processes share it."""

import errno
import multiprocessing
from pathlib import Path

import pytest

from engine_service.domain.clock import ManualClock
from engine_service.venues.rate_limit import Priority, RateBudget, Refusal

MINUTE_MS = 60_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_760_000_040_000 // MINUTE_MS * MINUTE_MS)


@pytest.fixture
def budget(tmp_path: Path, clock: ManualClock) -> RateBudget:
    return RateBudget(tmp_path / "rate" / "host.budget", weight_per_minute=100, clock=clock)


def test_research_stops_first_then_reads_and_orders_last(budget: RateBudget) -> None:
    assert budget.take(60, Priority.RESEARCH) is None
    assert budget.take(1, Priority.RESEARCH) is not None
    assert budget.take(30, Priority.READ) is None
    assert budget.take(1, Priority.READ) is not None
    assert budget.take(10, Priority.ORDER) is None
    assert budget.take(1, Priority.ORDER) is not None


def test_a_refusal_says_when_the_next_minute_begins(budget: RateBudget, clock: ManualClock) -> None:
    clock.advance(45_000)
    budget.take(100, Priority.ORDER)
    assert budget.take(1, Priority.ORDER) == Refusal(15.0)
    clock.advance(15_000)
    assert budget.take(1, Priority.ORDER) is None


def test_the_venues_own_count_wins_when_it_is_higher(budget: RateBudget) -> None:
    budget.observe(200, {"x-mbx-used-weight-1m": "99"})
    assert budget.take(2, Priority.ORDER) is not None


def test_a_429_pauses_everyone_and_halves_the_allowance_afterwards(budget: RateBudget, clock: ManualClock) -> None:
    budget.observe(429, {"retry-after": "7"})
    assert budget.take(1, Priority.ORDER) == Refusal(7.0)
    clock.advance(7_000)
    clock.advance(MINUTE_MS)
    assert budget.take(51, Priority.ORDER) is not None
    assert budget.take(50, Priority.ORDER) is None
    clock.advance(10 * MINUTE_MS)
    assert budget.take(100, Priority.ORDER) is None


def test_a_418_stops_all_traffic_until_the_ban_ends(budget: RateBudget, clock: ManualClock) -> None:
    budget.observe(418, {"retry-after": "180"})
    refused = budget.take(1, Priority.ORDER)
    assert refused == Refusal(180.0, banned=True)
    clock.advance(179_999)
    assert budget.take(1, Priority.ORDER) is not None
    clock.advance(1)
    assert budget.take(1, Priority.ORDER) is None


def test_two_budgets_on_one_file_are_one_budget(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "host.budget"
    engine = RateBudget(path, weight_per_minute=100, clock=clock)
    research = RateBudget(path, weight_per_minute=100, clock=clock)
    research.take(60, Priority.RESEARCH)
    assert engine.used_weight() == 60
    research.observe(418, {"retry-after": "5"})
    refused = engine.take(1, Priority.ORDER)
    assert refused is not None
    assert refused.banned


def _take_many(path: str, tries: int, granted: "multiprocessing.Queue[int]") -> None:
    budget = RateBudget(Path(path), weight_per_minute=1000, clock=ManualClock(1_760_000_000_000))
    granted.put(sum(budget.take(1, Priority.ORDER) is None for _ in range(tries)))


def test_processes_never_grant_more_than_the_allowance_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    granted: multiprocessing.Queue[int] = context.Queue()
    workers = [context.Process(target=_take_many, args=(str(tmp_path / "b"), 400, granted)) for _ in range(4)]
    for worker in workers:
        worker.start()
    total = sum(granted.get(timeout=30) for _ in workers)
    for worker in workers:
        worker.join()
    assert total == 1000


def test_a_damaged_state_file_starts_the_count_anew(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "host.budget"
    path.write_bytes(b"not a budget")
    assert RateBudget(path, weight_per_minute=10, clock=clock).take(10, Priority.ORDER) is None


def test_orders_on_their_way_count_until_the_venue_reports_its_own_figure(
    budget: RateBudget, clock: ManualClock
) -> None:
    budget.orders.limits = {10: 2, 86_400: 100}
    assert budget.take(1, Priority.ORDER, orders=1) is None
    assert budget.take(1, Priority.ORDER, orders=1) is None
    assert budget.take(1, Priority.ORDER, orders=1) == Refusal(10.0)
    assert budget.take(1, Priority.ORDER) is None
    filled_and_given_back = budget.orders.from_headers({"x-mbx-order-count-10s": "0", "x-mbx-order-count-1d": "0"})
    budget.orders_answered(1, filled_and_given_back)
    assert budget.take(1, Priority.ORDER, orders=1) is None


def test_an_answer_without_a_count_keeps_the_order_counted_until_its_window_ends(
    budget: RateBudget, clock: ManualClock
) -> None:
    budget.orders.limits = {10: 1}
    assert budget.take(1, Priority.ORDER, orders=1) is None
    budget.orders_answered(1, {})
    assert budget.take(1, Priority.ORDER, orders=1) == Refusal(10.0)
    clock.advance(10_000)
    assert budget.take(1, Priority.ORDER, orders=1) is None


def test_a_full_disk_keeps_the_count_here_until_it_can_be_shared_again(
    budget: RateBudget, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _data: bytes, _at: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("engine_service.venues.rate_limit.os.pwrite", full)
        for _ in range(6):
            assert budget.take(10, Priority.ORDER) is None
        assert budget.used_weight() == 60
        assert budget.take(budget.weight_per_minute, Priority.ORDER) is not None
    assert budget.take(5, Priority.ORDER) is None
    [path] = tmp_path.rglob("*.budget")
    assert RateBudget(path, weight_per_minute=budget.weight_per_minute, clock=clock).used_weight() == 65

"""A few troubles of the exchange, and the table of them."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from engine_service.domain.ids import Market
from engine_service.exchange_sim.faults import FaultKind
from tests.faults.venue_cases import TARGETS, TROUBLES, aimed
from tests.faults.venue_faults import Case, troubles

SAMPLE = (
    Case("connection cut after it", "place", 1),
    Case("504 timed out after it", "place", 2),
    Case("duplicate order, after it", "place", 1),
    Case("502 in HTML after it", "cancel", 2),
    Case("500 before it", "query", 1),
    Case("reports out of order", "cancel", 1),
    Case("503 unknown after it", "place", 1, Market.FUTURES),
    Case("connection cut after it", "cancel", 1, Market.FUTURES),
    Case("reports lost", "place", 1, Market.FUTURES),
)


@pytest.mark.slow
def test_after_trouble_at_the_exchange_all_is_as_its_ledger_says(tmp_path: Path) -> None:
    outcome = asyncio.run(troubles(tmp_path, SAMPLE, seed=1, lanes={Market.SPOT: 2, Market.FUTURES: 1}))
    assert outcome.failures == []
    assert outcome.tried == len(SAMPLE)


def test_there_are_thirty_troubles_and_the_exchange_knows_each() -> None:
    assert len(TROUBLES) >= 30
    for trouble in TROUBLES:
        for place, market in itertools.product(TARGETS, Market):
            assert all(FaultKind(fault["kind"]) for fault in aimed(trouble, place, market))

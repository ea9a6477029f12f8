"""A few hundred muddled streams, and proof that the comparison notices."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.fakes.engine import fake
from tests.faults.report_streams import account_of, differences, streams


def test_shuffled_doubled_and_lossy_reports_lead_to_the_venues_own_books() -> None:
    outcome = streams(400, seed=5)
    assert (outcome.tried, outcome.failures) == (400, [])


def test_the_same_seed_delivers_the_same_reports() -> None:
    first, second = (asyncio.run(account_of("7"))[1] for _ in range(2))
    assert first.arrived == second.arrived
    assert first.arrived != first.reports


def test_a_trade_that_the_engine_never_heard_of_is_noticed() -> None:
    core, _ = asyncio.run(account_of("9"))
    assert differences(core) == []
    venue = fake(core)
    venue.fill(next(iter(venue.orders)), Decimal("0.001"))
    assert len(differences(core)) >= 2

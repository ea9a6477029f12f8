"""Row ``simulation``: seeded schedules of messages, losses, crashes and clocks, played on the pure order path."""

from __future__ import annotations

import os

from tests.faults.rows import Failure, Options, Outcome, Row
from tests.simulation.runner import run as play


def run(options: Options) -> Outcome:
    """Play as many schedules as this run asks for, on every core."""
    first = options.seed * 10_000_000
    tally = play(range(first, first + options.pick(20_000, 1_000_000)), jobs=os.cpu_count() or 1)
    failures = [Failure(f"schedule {verdict.seed}", "; ".join(verdict.violations)) for verdict in tally.failures]
    return Outcome(tried=tally.tried, failures=failures, notes=f"{tally.events} facts")


ROW = Row("simulation", "seeded schedules of losses, crashes, delays and clocks that break a promise", run)

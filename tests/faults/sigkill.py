"""Row ``sigkill``: the engine dies anywhere; nothing acknowledged is lost, nothing is placed twice, books are equal."""

from __future__ import annotations

import asyncio
import time

from tests.faults.crash_lane import campaign
from tests.faults.figures import figures
from tests.faults.kills import AIMED, has_strace, plan
from tests.faults.rows import Failure, Options, Outcome, Row

#: Lanes that play side by side, and how many of them on USD-M: a fifth of the kills.
LANES, ON_FUTURES = 5, 1


def run(options: Options) -> Outcome:
    """Kill at random moments, at enumerated system calls and at named places, under load and foul weather.

    A fifth of the kills is played on USD-M.
    """
    kills = plan(
        options.seed,
        randoms=options.pick(60, 100),
        syscalls=options.pick(78, 676),
        failpoints=options.pick(50, 200),
        aimed=len(AIMED) * options.pick(1, 2),
    )
    began = time.monotonic()
    lanes = asyncio.run(campaign(options.folder, kills, seed=options.seed, lanes=LANES, on_futures=ON_FUTURES))
    values = figures(lanes, time.monotonic() - began)
    findings = [finding for lane in lanes for finding in lane.findings]
    notes = (
        f"{values['at_exchange']} orders at the exchange, {values['cut_off']} cut off by a kill, restart p50 "
        f"{values['restart_p50_s']} s, {values['missed']} points not reached and killed elsewhere"
    )
    return Outcome(
        tried=len(kills),
        failures=[Failure(f"{finding.kind}: {finding.subject}", finding.detail) for finding in findings],
        notes=notes if has_strace() else f"{notes}; strace is absent: random moments in its place",
    )


ROW = Row("sigkill", "SIGKILL points on spot and USD-M: lost or doubled orders, differences of the portfolio", run)

"""Many schedules, one process or several; ``run`` is what the torture table calls."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from structlog.testing import capture_logs

from tests.simulation.session import Session, Verdict

CHUNK = 250


@dataclass(slots=True)
class Tally:
    """How many schedules were tried, and those that broke a promise."""

    tried: int = 0
    events: int = 0
    failures: list[Verdict] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return len(self.failures)


def play(seed: int, *, digest: bool = False) -> Verdict:
    """Play one schedule. An error of the engine's own is a violation like any other; what it logs is not shown."""
    session = Session(seed, digest=digest)
    try:
        with capture_logs():
            return session.run()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the finding, and the seed names it
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({last.filename.rpartition('/')[2]}:{last.lineno})"
        return Verdict(seed, [*session.witness.violations, what], story=session.story)


def run(seeds: range, *, jobs: int = 1) -> Tally:
    """Play every seed; ``jobs`` processes share them."""
    tally = Tally()
    for tried, events, failures in _batches(seeds, jobs):
        tally.tried += tried
        tally.events += events
        tally.failures += failures
    return tally


def _batches(seeds: range, jobs: int) -> Iterator[tuple[int, int, list[Verdict]]]:
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    if jobs <= 1:
        yield from map(_chunk, chunks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_chunk, chunks)


def _chunk(seeds: Sequence[int]) -> tuple[int, int, list[Verdict]]:
    verdicts = [play(seed) for seed in seeds]
    return len(verdicts), sum(v.events for v in verdicts), [v for v in verdicts if v.violations]

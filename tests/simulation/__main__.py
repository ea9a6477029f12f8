"""Play seeded schedules: ``python -m tests.simulation --seeds 20000 [--first N] [--jobs 2] [--json]``.

Every schedule drives the engine's own order path against a model venue on virtual time. A failing one prints what it
broke, what was done to it, and the command that plays it again. Exit 1 when any failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from tests.simulation.runner import Tally, play, run
from tests.simulation.session import Verdict

STORIES_SHOWN = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the schedules asked for; return the exit code."""
    flags = _parse(arguments)
    seeds = range(flags.first, flags.first + flags.seeds)
    began = time.monotonic()
    tally = run(seeds, jobs=flags.jobs)
    seconds = time.monotonic() - began
    out = sys.stderr if flags.json else sys.stdout
    for verdict in tally.failures[:STORIES_SHOWN]:
        print(_told(verdict), file=out)
    if flags.story and not tally.failures:
        print(_told(play(flags.first)), file=out)
    others = ", ".join(str(verdict.seed) for verdict in tally.failures[STORIES_SHOWN:][:50])
    if others:
        print(f"also failed: {others}", file=out)
    pace = tally.tried / seconds
    print(f"{tally.tried} schedules, {tally.events} facts, {tally.failed} failed, {pace:.0f}/s", file=out)
    if flags.json:
        print(json.dumps(_figures(tally, seconds)))
    return int(tally.failed > 0)


def _told(verdict: Verdict) -> str:
    lines = [f"seed {verdict.seed}:", *verdict.story]
    lines += [f"  BROKEN {violation}" for violation in verdict.violations]
    lines.append(f"  again: python -m tests.simulation --first {verdict.seed} --seeds 1 --story")
    return "\n".join(lines)


def _figures(tally: Tally, seconds: float) -> dict[str, object]:
    return {
        "tried": tally.tried,
        "failed": tally.failed,
        "events": tally.events,
        "seconds": round(seconds, 1),
        "seeds": [verdict.seed for verdict in tally.failures],
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Play seeded schedules.")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many (1000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--story", action="store_true", help="tell the first schedule even when it holds")
    parser.add_argument("--json", action="store_true", help="nothing but one JSON line on standard output")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

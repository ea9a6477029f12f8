"""How strong are the tests? ``python -m tests.mutation [--module M] [--sample N] [--changed REF] [--json]``.

Every mutant is the product with one mistake in it. A mistake that no test of its module notices has survived. Exit 0
where every group's share of noticed mistakes is what was asked for, 1 where not, 2 where the tests fail as they are.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.mutation.runner import ROOT, NotGreen, Trial, run
from tests.mutation.targets import Target, chosen
from tests.mutation.worker import Fate

STRONG, WEAK, UNUSABLE = 0, 1, 2
Tally = dict[str, Counter[Fate]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try mutants, name the survivors, print the score of each group and module."""
    options = _options(arguments)
    say = sys.stderr if options.json else sys.stdout
    try:
        targets = _changed_since(chosen(options.module), options.changed)
    except ValueError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    groups: Tally = defaultdict(Counter)
    modules: Tally = defaultdict(Counter)

    def tell(trial: Trial) -> None:
        groups[trial.target.group][trial.fate] += 1
        modules[trial.target.path][trial.fate] += 1
        if trial.fate in {Fate.SURVIVED, Fate.UNTESTED}:
            print(f"{trial.fate} {trial.target.path}:{trial.mutation.line} {trial.mutation.what}", file=say, flush=True)

    began = time.monotonic()
    try:
        run(targets, jobs=options.jobs, sample=options.sample, seed=options.seed, on_trial=tell)
    except NotGreen as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    for name, counts in [*modules.items(), *groups.items()]:
        print(_line(name, counts), file=say)
    print(f"{sum(map(Counter.total, groups.values()))} mutants in {time.monotonic() - began:.0f} s", file=say)
    figures = {name: _figures(counts) for name, counts in [*groups.items(), *modules.items()]}
    print(json.dumps(figures))
    weak = [name for name, counts in groups.items() if _score(counts) < options.at_least]
    return WEAK if weak else STRONG


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Measure the strength of the tests.")
    parser.add_argument("--module", action="append", default=[], help="a group or a module; may be repeated (all)")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants, drawn evenly (all)")
    parser.add_argument("--seed", type=int, default=0, help="which sample (0)")
    parser.add_argument("--changed", default="", metavar="REF", help="only modules that differ from this commit")
    parser.add_argument("--jobs", type=int, default=2, help="processes, each with a copy of the tree (2)")
    parser.add_argument("--at-least", type=float, default=85.0, help="the score asked for, per cent (85)")
    parser.add_argument("--json", action="store_true", help="nothing but one JSON line on standard output")
    return parser.parse_args(arguments)


def _changed_since(targets: list[Target], ref: str) -> list[Target]:
    if not ref:
        return targets
    command = ["git", "diff", "--name-only", ref, "--", *(target.path for target in targets)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return [target for target in targets if target.path in done.stdout.split()]


def _score(counts: Counter[Fate]) -> float:
    """Return the share of mistakes that were noticed, per cent; a mutant without end was noticed."""
    noticed = counts[Fate.KILLED] + counts[Fate.TIMED_OUT]
    return 100.0 * noticed / counts.total() if counts else 100.0


def _line(name: str, counts: Counter[Fate]) -> str:
    return (
        f"{name:45} {counts.total():5} mutants  {counts[Fate.KILLED]:5} killed  {counts[Fate.TIMED_OUT]:3} without end"
        f"  {counts[Fate.SURVIVED] + counts[Fate.UNTESTED]:4} survived  {_score(counts):5.1f} %"
    )


def _figures(counts: Counter[Fate]) -> dict[str, float]:
    return {fate.value: counts[fate] for fate in Fate} | {"score": round(_score(counts), 1)}


if __name__ == "__main__":
    # A run that is told to stop takes its workers and its copies of the tree with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    raise SystemExit(main())

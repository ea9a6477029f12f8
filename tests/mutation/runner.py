"""Tries the mutants of some modules: copies of the tree, a process for each copy, one mutant after another."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from tests.mutation.operators import Mutation, mutant, mutations
from tests.mutation.targets import Target
from tests.mutation.worker import Fate

ROOT = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "data", "docs", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"
)
#: A mutant that takes this much longer than the tests without it runs for ever.
_PATIENCE, _LEAST_S = 5.0, 15.0
#: CPython 3.11 counts the depth of every thread's syntax tree as one ("recursion depth mismatch").
_PARSING = Lock()


@dataclass(frozen=True, slots=True)
class Trial:
    """One mutant and what became of it."""

    target: Target
    mutation: Mutation
    fate: Fate


class NotGreen(Exception):
    """The tests fail without any mutation: nothing can be learnt from them."""


class Worker:
    """A process with its own copy of the tree."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.worker"],
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._limits: dict[tuple[str, ...], float] = {}

    def try_one(self, target: Target, source: str, mutation: Mutation) -> Trial:
        """Run the target's tests against a mutant.

        Raises:
            NotGreen: they fail, or there are none, without the mutation.
        """
        with _PARSING:
            changed = mutant(source, mutation)
        limit_s = self._limit_s(target)
        return Trial(target, mutation, self._ask(target, limit_s, changed))

    def _limit_s(self, target: Target) -> float:
        """Run the tests once as they are: that shows that they pass, and how long they take."""
        known = self._limits.get(target.tests)
        if known is not None:
            return known
        began = time.monotonic()
        for _ in range(2):  # the first compiles
            began = time.monotonic()
            if self._ask(target, 600.0, None) is not Fate.SURVIVED:
                raise NotGreen(f"{' '.join(target.tests)} do not pass as they are")
        return self._limits.setdefault(target.tests, max(_LEAST_S, _PATIENCE * (time.monotonic() - began)))

    def _ask(self, target: Target, limit_s: float, source: str | None) -> Fate:
        request = {"path": target.path, "tests": list(target.tests), "limit_s": limit_s, "source": source}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("a worker died")
        return Fate(json.loads(answer)["fate"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def run(targets: Sequence[Target], *, jobs: int, sample: int, seed: int, on_trial: Callable[[Trial], None]) -> None:
    """Try every mutant of the targets, or a sample of them; tell of each as it ends.

    Raises:
        NotGreen: some tests fail without any mutation.
    """
    sources = {target.path: (ROOT / target.path).read_text("utf-8") for target in targets}
    wanted: list[tuple[Target, Mutation]] = [
        (target, mutation) for target in targets for mutation in mutations(sources[target.path])
    ]
    if sample and sample < len(wanted):
        kept = sorted(random.Random(seed).sample(range(len(wanted)), sample))  # the same seed, the same mutants
        wanted = [wanted[index] for index in kept]
    with _workers(min(jobs, len(wanted) or 1)) as free, ThreadPoolExecutor(jobs) as pool:

        def one(target: Target, mutation: Mutation) -> Trial:
            worker = free.get()
            try:
                return worker.try_one(target, sources[target.path], mutation)
            finally:
                free.put(worker)

        for trial in pool.map(lambda pair: one(*pair), wanted):
            on_trial(trial)


@contextmanager
def _workers(count: int) -> Iterator[SimpleQueue[Worker]]:
    free: SimpleQueue[Worker] = SimpleQueue()
    workers: list[Worker] = []
    with tempfile.TemporaryDirectory(prefix="nhmm-mutation-") as folder:
        try:
            for number in range(count):
                home = Path(folder) / str(number)
                shutil.copytree(ROOT, home, ignore=_LEFT_OUT)
                workers.append(Worker(home))
                free.put(workers[-1])
            yield free
        finally:
            for worker in workers:
                worker.close()

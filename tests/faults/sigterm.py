"""Row ``sigterm``: the engine is asked to stop under load; it drains in time, and no caller is left without a word."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from tests.faults import weather
from tests.faults.judge import Finding
from tests.faults.load import AWAY, Load
from tests.faults.rows import Failure, Options, Outcome, Row
from tests.faults.stage import Stage, stage
from tests.faults.verdict import verdict

DRAIN_S = 5.0
LIVES_S = (0.3, 1.5)


def run(options: Options) -> Outcome:
    """Stop and start one engine many times."""
    return asyncio.run(stops(options, options.pick(20, 200)))


async def stops(options: Options, number: int, moods: Sequence[str] = ()) -> Outcome:
    """Stop that many times; the judge compares everything with the exchange at the end."""
    chance, drained = random.Random(options.seed), list[float]()
    async with stage(options.folder, options.seed) as on:
        loading = asyncio.create_task(on.load.run())
        weathering = asyncio.create_task(weather.change_for_ever(on.exchange.url, options.seed, moods))
        findings: list[Finding] = []
        for count in range(number):
            await asyncio.sleep(chance.uniform(*LIVES_S))
            findings += await _stop(on, f"stop {count + 1}", drained)
            await on.engine.start()
        for task in (loading, weathering):
            task.cancel()
        await asyncio.gather(loading, weathering, return_exceptions=True)
        await weather.clear(on.exchange.url)
        _, found = await verdict(on.exchange, on.engine, on.load)
        findings += [*found, *_rude(on.load)]
        answered = sum(len(intent.answers) for intent in on.load.intents)
    return Outcome(
        tried=number,
        failures=[Failure(f"{finding.kind}: {finding.subject}", finding.detail) for finding in findings],
        notes=f"drained within {max(drained):.1f} s at most; {answered} answers",
    )


async def _stop(on: Stage, name: str, drained: list[float]) -> list[Finding]:
    began = time.monotonic()
    try:
        code = await on.engine.stop()
    except TimeoutError:
        await on.engine.kill()
        return [Finding("not stopped", name)]
    drained.append(time.monotonic() - began)
    findings = [] if code == 0 else [Finding("exit code", name, str(code))]
    if drained[-1] > DRAIN_S:
        findings.append(Finding("slow drain", name, f"{drained[-1]:.1f} s"))
    return findings


def _rude(load: Load) -> list[Finding]:
    """A refused connection says that nothing was taken; a broken one leaves the caller in the dark."""
    findings = [
        Finding("caller left without an answer", kind, f"{times} times")
        for kind, times in load.broken.items()
        if kind != "ConnectError"
    ]
    answers = [answer for intent in load.intents for answer in intent.answers]
    answers += [answer for _, answer in load.cancels]
    hints = [answer.code for answer in answers if answer.code in AWAY and not answer.retry_after]
    if hints:
        findings.append(Finding("no Retry-After", hints[0], f"{len(hints)} answers"))
    return findings


ROW = Row("sigterm", "SIGTERM under load: drained within 5 s, exit 0, callers see answers or 503 + Retry-After", run)

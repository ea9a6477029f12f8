"""Row ``fault_matrix``: one fault after the other of disk, process, clock, network and rails, each with its judge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from tests.faults.engine_process import EngineFailed
from tests.faults.kills import has_strace
from tests.faults.matrix_disk import DISK
from tests.faults.matrix_logs import LOGS
from tests.faults.matrix_network import NETWORK
from tests.faults.matrix_process import PROCESS
from tests.faults.matrix_venue import VENUE
from tests.faults.rows import Failure, Options, Outcome, Row
from tests.faults.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (*DISK, *LOGS, *NETWORK, *VENUE, *PROCESS)
AT_ONCE = 4


def run(options: Options) -> Outcome:
    """Play every scenario; the full run plays each with several seeds."""
    return asyncio.run(played(options, SCENARIOS))


async def played(options: Options, scenarios: Sequence[Scenario]) -> Outcome:
    """Play scenarios a few at a time, each on an exchange, an engine and a home of its own."""
    able = [each for each in scenarios if (has_strace() or not each.needs_strace) and not (options.quick and each.slow)]
    left_out = [each.name for each in scenarios if each not in able]
    slots, outcome = asyncio.Semaphore(AT_ONCE), Outcome(tried=0)

    async def play(scenario: Scenario, seed: int) -> None:
        async with slots:
            try:
                folder = options.folder / f"{scenario.name.replace(' ', '-')}-{seed}"
                folder.mkdir(parents=True)
                wrong = await scenario.play(folder, seed)
            except EngineFailed as error:
                wrong = [f"the engine did not come back: {error}"]
            except httpx.HTTPError as error:
                wrong = [f"the scenario broke off: {error!r}"]
        outcome.tried += 1
        outcome.failures += [Failure(f"{scenario.name}, seed {seed}", text) for text in wrong]

    seeds = range(options.seed, options.seed + options.pick(1, 3))
    await asyncio.gather(*(play(scenario, seed) for scenario in able for seed in seeds))
    outcome.notes = f"{len(able)} faults" + (f"; not played: {', '.join(left_out)}" if left_out else "")
    return outcome


ROW = Row("fault_matrix", "disk, process, clock, network, rails: faults whose end is not as it must be", run)

"""The whole journal checked beside the engine, by a process of its own: what the start left unread, then every hour."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from engine_service.domain.ids import ENGINE
from engine_service.execution.core import EngineCore
from engine_service.execution.halt import halt
from engine_service.storage.verify import CLEAN, CORRUPT, UNREADABLE

ROOT: Final = Path(__file__).resolve().parents[2]
CHECK_EVERY_S: Final = 3600.0
VERIFY: Final = (sys.executable, "-m", "engine_service.storage.verify", "--json", "--nice")

_log = structlog.get_logger(__name__)


async def keep_checking(core: EngineCore, home: Path, checkpoints: Path | None, *, at_once: bool) -> None:
    """Check on a timer. ``at_once``: the start has not read all of it, so begin with that."""
    if not at_once:
        await asyncio.sleep(CHECK_EVERY_S)
    while True:
        await check(core, home, checkpoints)
        await asyncio.sleep(CHECK_EVERY_S)


async def check(core: EngineCore, home: Path, checkpoints: Path | None = None) -> None:
    """Check the journal once. One that is corrupt stops trading; one that cannot be checked is a warning."""
    code, verdict = await _verdict(home, checkpoints)
    if code == CLEAN:
        _log.info("journal checked", events=verdict["events"])
    elif code == CORRUPT:
        _log.error("the journal is corrupt", **{key: verdict[key] for key in ("first_bad", "kind", "detail")})
        reason = f"the journal is corrupt: event {verdict['first_bad']} is {verdict['kind']}; see nhmm audit verify"
        await halt(core, reason=reason, principal=ENGINE)
    else:
        _log.warning("the journal could not be checked", reason=verdict["detail"])


async def _verdict(home: Path, checkpoints: Path | None) -> tuple[int | None, dict[str, Any]]:
    command = _command(home, checkpoints)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    known = process.returncode in (CLEAN, CORRUPT, UNREADABLE) and output
    return process.returncode, json.loads(output) if known else {"detail": f"the check ended with {process.returncode}"}


def _command(home: Path, checkpoints: Path | None) -> list[str]:
    place = [] if checkpoints is None else ["--checkpoints", str(checkpoints.absolute())]
    return [*VERIFY, "--home", str(home.absolute()), *place]

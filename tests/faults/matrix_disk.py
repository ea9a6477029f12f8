"""The disk fails: full, refusing, slow, locked, damaged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx

from engine_service.storage.layout import EngineFiles
from tests.faults.homes import wal_of
from tests.faults.load import MARKET
from tests.faults.scenario import (
    Scenario,
    at_exchange,
    books,
    comes_back,
    ends_by_itself,
    is_open,
    order,
    orders,
    placed,
    rest,
    unless,
)
from tests.faults.stage import Stage, stage

BEFORE, AFTER = 5, 4


async def _stops_sending(on: Stage) -> list[str]:
    """After the failure nothing is acknowledged as placed, and nothing more reaches the exchange than was begun."""
    before = await at_exchange(on)
    answers = await orders(on, AFTER)
    wrong = unless(placed(answers) == 0, f"{placed(answers)} orders were acknowledged after the disk had failed")
    wrong += await ends_by_itself(on)
    after = await at_exchange(on)
    # The first order may be on its way when the failure is found: its intent was on the disk.
    wrong += unless(after - before <= 1, f"{after - before} orders were sent after the disk had failed")
    return wrong + await comes_back(on)


async def no_room(folder: Path, seed: int) -> list[str]:
    """Every write finds a full disk: orders are refused, cancels still reach the exchange, and the engine stays."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        resting = await rest(on)
        before = await at_exchange(on)
        async with _strace(on.engine.pid, "pwrite64:error=ENOSPC:when=1+"):
            answers = await orders(on, AFTER)
            await on.load.cancel(resting)
        wrong = unless(placed(answers) == 0, f"{placed(answers)} orders were acknowledged on a full disk")
        sent = await at_exchange(on) - before
        wrong += unless(sent <= 1, f"{sent} orders were sent on a full disk")
        wrong += unless(not await is_open(on, resting), "the cancel did not reach the exchange")
        await on.engine.kill()
        return wrong + await comes_back(on)


async def disk_full(folder: Path, seed: int) -> list[str]:
    """The journal may not grow any more."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        size = wal_of(on.engine.home).stat().st_size
        resource.prlimit(on.engine.pid, resource.RLIMIT_FSIZE, (size, size))
        return await _stops_sending(on)


def injected(what: str) -> Callable[[Path, int], Awaitable[list[str]]]:
    """Return a scenario in which a system call of the journal fails as ``what`` says."""

    async def play(folder: Path, seed: int) -> list[str]:
        async with stage(folder, seed) as on:
            await orders(on, BEFORE)
            async with _strace(on.engine.pid, what):
                return await _stops_sending(on)

    return play


@contextlib.asynccontextmanager
async def _strace(pid: int, what: str) -> AsyncIterator[None]:
    call = what.partition(":")[0]
    words = ("-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={what}", "-p", str(pid))
    process = await asyncio.create_subprocess_exec("strace", *words, stderr=asyncio.subprocess.DEVNULL)
    await asyncio.sleep(0.4)
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def slow_sync(folder: Path, seed: int) -> list[str]:
    """Every sync takes a second: orders wait for it, and what was answered survives a kill."""
    async with stage(folder, seed) as on:
        async with _strace(on.engine.pid, "fdatasync:delay_enter=1000000"):
            answers = await orders(on, 2)
        await on.engine.kill()
        wrong = unless(all(answer is not None for answer in answers), "a slow disk left a caller without an answer")
        return wrong + await comes_back(on)


async def locked(folder: Path, seed: int) -> list[str]:
    """Another program holds the database for two seconds: orders wait, and none is lost."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        holder = sqlite3.connect(EngineFiles(on.engine.home).journal, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        asking = asyncio.create_task(orders(on, AFTER))
        await asyncio.sleep(2)
        holder.execute("ROLLBACK")
        holder.close()
        answers = await asking
        return unless(None not in answers, "an order was left without an answer") + await books(on)


def refuses(code: str, damage: Callable[[Path], None], *codes: int) -> Callable[[Path, int], Awaitable[list[str]]]:
    """Return a scenario in which a stopped home is damaged: the start must refuse and say ``code``."""

    async def play(folder: Path, seed: int) -> list[str]:
        async with stage(folder, seed) as on:
            await orders(on, BEFORE)
            await on.engine.stop()
            whole = folder / "whole"
            shutil.copytree(on.engine.home, whole)
            damage(on.engine.home)
            try:
                exit_code, said = await on.engine.refused()
            except TimeoutError:
                return ["it started on a damaged home"]
            wrong = unless(exit_code in (codes or (4, 78)), f"exit code {exit_code}: {said[-300:]}")
            wrong += unless(code in said, f"{code} is not what it said: {said[-300:]}")
            shutil.rmtree(on.engine.home)
            shutil.copytree(whole, on.engine.home)
            return wrong + await comes_back(on)

    return play


def survives(damage: Callable[[Path], None]) -> Callable[[Path, int], Awaitable[list[str]]]:
    """Return a scenario in which a killed home is damaged where it does not matter: nothing may differ."""

    async def play(folder: Path, seed: int) -> list[str]:
        async with stage(folder, seed) as on:
            await orders(on, BEFORE)
            await asyncio.sleep(1.5)
            await on.engine.kill()
            damage(on.engine.home)
            return await comes_back(on)

    return play


def _flip_body(home: Path) -> None:
    with contextlib.closing(sqlite3.connect(EngineFiles(home).journal, isolation_level=None)) as connection:
        connection.execute("UPDATE events SET body = replace(body, '1', '2') WHERE seq = 9")


def _drop_row(home: Path) -> None:
    with contextlib.closing(sqlite3.connect(EngineFiles(home).journal, isolation_level=None)) as connection:
        connection.execute("DELETE FROM events WHERE seq = 9")


def _newer_schema(home: Path) -> None:
    with contextlib.closing(sqlite3.connect(EngineFiles(home).journal, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _no_journal(home: Path) -> None:
    EngineFiles(home).journal.unlink()


def _no_database(home: Path) -> None:
    EngineFiles(home).journal.write_bytes(b"not a database at all" * 1000)


def _broken_tokens(home: Path) -> None:
    EngineFiles(home).tokens.write_text("{not json", encoding="utf-8")


def _snapshots(home: Path) -> list[Path]:
    return sorted(EngineFiles(home).snapshots.glob("state-*.json"))


def _spoil_snapshots(home: Path) -> None:
    for path in _snapshots(home):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + b"#" + content[len(content) // 2 + 1 :])


def _snapshot_from_tomorrow(home: Path) -> None:
    for path in _snapshots(home)[-1:]:
        header, _, body = path.read_bytes().partition(b"\n")
        values = json.loads(header) | {"seq": 10_000_000}
        path.with_name("state-000010000000.json").write_bytes(json.dumps(values).encode() + b"\n" + body)


def _stale_lease(home: Path) -> None:
    EngineFiles(home).lease.write_text("1\n", encoding="ascii")


async def rejected_limits(folder: Path, seed: int) -> list[str]:
    """Limits that cannot be are refused whole; the old ones stay in force."""
    async with stage(folder, seed) as on:
        before = await on.engine.call("GET", "/risk/config")
        answer = await order(on, path=MARKET)
        for text in ("-1", "nan", "x"):
            with contextlib.suppress(httpx.HTTPStatusError):
                await on.engine.call("PUT", "/risk/config", json={"max_notional": text, "reason": "x"})
        same = await on.engine.call("GET", "/risk/config") == before
        wrong = unless(same, "the limits changed") + unless(answer is not None, "no answer")
        return wrong + await books(on, quiet_log=True)


async def no_room_for_snapshots(folder: Path, seed: int) -> list[str]:
    """Snapshots cannot be written: the engine says so and ends well; the journal alone brings everything back."""
    async with stage(folder, seed) as on:
        await orders(on, BEFORE)
        snapshots = EngineFiles(on.engine.home).snapshots
        kept = snapshots.rename(snapshots.with_name("kept"))
        snapshots.touch()
        code = await on.engine.stop()
        said = await asyncio.to_thread(on.engine.log.read_text, encoding="utf-8")
        wrong = unless(code == 0, f"exit code {code}") + unless("snapshot skipped" in said, "nothing was said of it")
        snapshots.unlink()
        kept.rename(snapshots)
        return wrong + await comes_back(on)


DISK = (
    Scenario("disk full", (17, 23), disk_full),
    Scenario("no room for any write", (17,), no_room, needs_strace=True),
    Scenario("no room for snapshots", (19,), no_room_for_snapshots),
    Scenario("sync fails with EIO", (20,), injected("fdatasync:error=EIO:when=1"), needs_strace=True),
    Scenario("sync takes a second", (21,), slow_sync, needs_strace=True),
    Scenario("database locked for two seconds", (30,), locked),
    Scenario("an event altered", (25,), refuses("JOURNAL_CORRUPT", _flip_body)),
    Scenario("an event removed", (26,), refuses("JOURNAL_CORRUPT", _drop_row)),
    Scenario("no database any more", (24,), refuses("JOURNAL_", _no_database)),
    Scenario("journal gone", (27,), refuses("JOURNAL_MISSING", _no_journal)),
    Scenario("journal of a newer version", (29, 70), refuses("JOURNAL_TOO_NEW", _newer_schema)),
    Scenario("token file broken", (), refuses("tokens", _broken_tokens)),
    Scenario("snapshots spoilt", (28,), survives(_spoil_snapshots)),
    Scenario("snapshot from tomorrow", (28,), refuses("JOURNAL_CORRUPT", _snapshot_from_tomorrow)),
    Scenario("lock file of a dead process", (16,), survives(_stale_lease)),
    Scenario("limits that cannot be", (63,), rejected_limits),
)

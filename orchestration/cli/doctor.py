"""``nhmm doctor``: is this machine ready, and if not, what is to be done."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from rich.console import Console

from observability.variables import unknown_variables
from orchestration.cli.layout import Exit, Home, Refused, port_is_free
from orchestration.cli.preflight import require_configuration
from orchestration.cli.processes import child_environment
from orchestration.cli.startup_refusals import way_out

Verdict = Literal["ok", "warn", "fail"]

FREE_DISK_FAIL_MB = 500
FREE_DISK_WARN_MB = 5_000
SAFE_SQLITE = (3, 51, 3)
EARLIEST_SANE_CLOCK = 1_767_225_600  # 2026-01-01: a clock before the release is wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, what was found, and what to do when it is not well."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def run(home: Home, ports: Sequence[int]) -> int:
    """Print every finding; return 1 where one fails."""
    findings = list(examine(home, ports))
    console = Console(highlight=False)
    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    for finding in findings:
        console.print(f"[{colours[finding.verdict]}]{finding.verdict:>4}[/]  {finding.check}: {finding.found}")
        if finding.remedy:
            console.print(f"      {finding.remedy}", style="dim")
    return Exit.FAILED if any(finding.verdict == "fail" for finding in findings) else Exit.OK


def examine(home: Home, ports: Sequence[int]) -> Iterator[Finding]:
    """Yield the findings in the order a person would look."""
    yield _python()
    yield _packages()
    yield _sqlite()
    yield _disk(home)
    yield _writable(home)
    yield _clock()
    for port in ports:
        yield _port(port)
    yield _tokens(home)
    yield _configuration()
    for unknown in unknown_variables(os.environ):
        yield Finding("variables", "warn", unknown, "It changes nothing. All names: docs/reference/configuration.md")
    yield from _start(home)


def _python() -> Finding:
    return Finding("Python", "ok", ".".join(map(str, sys.version_info[:3])))


def _packages() -> Finding:
    missing = [name for name in ("dagster", "fastapi", "hmmlearn", "polars", "duckdb") if not _installed(name)]
    if missing:
        return Finding("packages", "fail", f"missing: {', '.join(missing)}", "Run: make install")
    return Finding("packages", "ok", "installed")


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _sqlite() -> Finding:
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        wanted = ".".join(map(str, SAFE_SQLITE))
        return Finding(
            "SQLite",
            "warn",
            sqlite3.sqlite_version,
            f"Older than {wanted}, which mends a WAL race between two writers. The engine writes and checkpoints "
            "from one connection, so it is not exposed; do not let other programs write to its journal.",
        )
    return Finding("SQLite", "ok", sqlite3.sqlite_version)


def _disk(home: Home) -> Finding:
    existing = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    found = f"{free_mb} MB free at {existing}"
    if free_mb < FREE_DISK_FAIL_MB:
        return Finding("disk", "fail", found, "Free some space, or choose another folder: nhmm ... --home DIR")
    if free_mb < FREE_DISK_WARN_MB:
        return Finding("disk", "warn", found, "Enough to start; a year of minute bars wants a few gigabytes.")
    return Finding("disk", "ok", found)


def _writable(home: Home) -> Finding:
    existing = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("data folder", "fail", f"{existing} is not writable", "Give it to this user, or use --home DIR")
    return Finding("data folder", "ok", str(home.path))


def _clock() -> Finding:
    if time.time() < EARLIEST_SANE_CLOCK:
        return Finding("clock", "fail", time.strftime("%F %T", time.gmtime()), "Set the clock; venues refuse old times")
    drift_s = _clock_step_s()
    if drift_s > 0.25:
        return Finding("clock", "fail", f"moved by {drift_s:.2f} s while watched", "Let NTP slew, not step, the clock")
    return Finding("clock", "ok", time.strftime("%F %T UTC", time.gmtime()))


def _clock_step_s(watch_s: float = 0.2) -> float:
    wall, steady = time.time(), time.monotonic()
    time.sleep(watch_s)
    return abs((time.time() - wall) - (time.monotonic() - steady))


def _port(port: int) -> Finding:
    if port_is_free(port):
        return Finding(f"port {port}", "ok", "free")
    return Finding(
        f"port {port}", "warn", "in use", "Fine when the platform already runs; else stop the other program."
    )


def _tokens(home: Home) -> Finding:
    if not home.tokens.exists():
        return Finding("tokens", "ok", "made at the engine's first start")
    mode = home.tokens.stat().st_mode & 0o777
    if mode != 0o600:
        return Finding("tokens", "fail", f"{home.tokens} has mode {mode:o}", f"Run: chmod 600 {home.tokens}")
    return Finding("tokens", "ok", str(home.tokens))


def _configuration() -> Finding:
    try:
        require_configuration(("-m", "engine_service.main"))
    except Refused as refusal:
        return Finding("configuration", "fail", str(refusal), way_out("CONFIG_INVALID"))
    return Finding("configuration", "ok", "every file and variable is valid")


def _start(home: Home) -> Iterator[Finding]:
    """Ask the engine itself whether it would start on this folder; it looks and changes nothing."""
    command = [sys.executable, "-m", "engine_service.main", "--check-home", "--home", str(home.path)]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines() or ["the engine gave no reason"]
    for line in lines:
        if line.startswith("halted: "):
            remedy = "The next start trades no more. Look at orders and positions, then: POST /control/resume"
            yield Finding("halt", "warn", line.removeprefix("halted: "), remedy)
    if done.returncode == 0:
        yield Finding("start", "ok", "an engine would start on this folder")
        return
    said = lines[-1].removeprefix("engine: ")
    yield Finding("start", "fail", said, way_out(said.partition(":")[0]))

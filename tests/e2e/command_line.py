"""The ``nhmm`` command as a person runs it: another working directory, a clean environment, real processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NHMM = (sys.executable, "-m", "orchestration.cli")
READY_S = 60.0


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this environment without any setting of the platform, with the checkout importable."""
    foreign = ("NHMM_", "DAGSTER_", "BINANCE_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    # A wide, plain terminal: messages are compared, not admired.
    return clean | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"} | dict(extra or {})


def run(cwd: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*NHMM, *arguments], cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=90, check=False
    )


class Running:
    """A command that stays: its first line of output, and how it ends. Its errors go to ``log``."""

    def __init__(self, cwd: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.log = cwd / f"{arguments[0]}.log"
        with self.log.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [*NHMM, *arguments],
                cwd=cwd,
                env=environment(env),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def line(self, timeout_s: float = READY_S) -> str:
        """Return the next line of standard output, empty at its end or where none came in time."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        return self.process.stdout.readline().rstrip("\n") if readable else ""

    def end(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 20.0) -> int:
        """Send a signal, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout_s)
        finally:
            self.process.kill()
            self.process.wait()

    def rest(self) -> str:
        """Return what standard output still holds, once the process has ended."""
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            return stream.read()

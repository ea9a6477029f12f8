"""Start, watch and stop the platform's processes. Nothing here imports what it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from orchestration.cli.layout import ROOT

STOP_GRACE_S = 12.0
READY_PREFIX = "ready "
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessFailed(Exception):
    """A process ended although it should run, or never became ready. ``exit_code`` is the process's own."""

    def __init__(self, name: str, detail: str, exit_code: int = 1) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.exit_code = exit_code


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with the checkout importable and telemetry off."""
    environment = dict(os.environ)
    paths = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment |= {
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }
    return environment | dict(extra or {})


@dataclass
class Child:
    """One running process; its lines go to ``sink`` as they come."""

    name: str
    popen: subprocess.Popen[str]
    ready_line: str = ""
    last_lines: list[str] = field(default_factory=list)
    became_ready: threading.Event = field(default_factory=threading.Event)

    @property
    def exit_code(self) -> int | None:
        return self.popen.poll()

    def note(self, line: str) -> None:
        """Keep the last lines, so that a death can be explained."""
        self.last_lines.append(line)
        del self.last_lines[:-8]
        if line.startswith(READY_PREFIX):
            self.ready_line = line.removeprefix(READY_PREFIX).strip()
            self.became_ready.set()


class ProcessGroup:
    """Processes that live and die together: the last one started is stopped first.

    ``sink(name, line)`` receives every line of every process, from reader threads.
    """

    def __init__(self, sink: Callable[[str, str], None]) -> None:
        self._sink = sink
        self._children: list[Child] = []
        self._readers: list[threading.Thread] = []

    def start(self, name: str, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
        """Start ``python ARGUMENTS`` (or a program beside this interpreter when the first is absolute)."""
        command = list(arguments) if Path(arguments[0]).is_absolute() else [sys.executable, *arguments]
        with _signals_held_back():
            popen = subprocess.Popen(
                command,
                env=child_environment(env),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            child = Child(name, popen)
            self._children.append(child)
        for stream in (popen.stdout, popen.stderr):
            if stream is not None:
                reader = threading.Thread(target=self._pump, args=(child, stream), daemon=True)
                reader.start()
                self._readers.append(reader)
        return child

    def wait_ready(self, child: Child, timeout_s: float) -> str:
        """Return the address of the process's ``ready`` line.

        Raises:
            ProcessFailed: it ended or stayed silent for ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while not child.became_ready.wait(0.05):
            if child.exit_code is not None:
                self._drain()
                raise ProcessFailed(child.name, _last_words(child), child.exit_code or 1)
            if time.monotonic() > deadline:
                raise ProcessFailed(child.name, f"not ready after {timeout_s:.0f} s; {_last_words(child)}")
        return child.ready_line

    def dead(self) -> Child | None:
        """Return the first process that has ended, if any."""
        return next((child for child in self._children if child.exit_code is not None), None)

    def require_alive(self) -> None:
        """Check that everything still runs.

        Raises:
            ProcessFailed: a process has ended.
        """
        child = self.dead()
        if child is not None:
            self._drain()
            raise ProcessFailed(child.name, f"{_how_it_ended(child)}; {_last_words(child)}", child.exit_code or 1)

    def stop(self) -> dict[str, int]:
        """Ask each process to end, newest first; force those that do not. Return exit codes by name.

        A second Ctrl-C does not cut this short: it would leave processes behind that nobody stops.
        """
        with _deaf_to_signals():
            return self._stop_all()

    def _stop_all(self) -> dict[str, int]:
        for child in reversed(self._children):
            if child.exit_code is None:
                _signal_group(child, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.popen.wait(STOP_GRACE_S)
            # The group, not the leader alone: Dagster's servers leave helpers behind.
            _signal_group(child, signal.SIGKILL)
        codes = {child.name: child.popen.wait() for child in self._children}
        self._drain()
        self._children.clear()
        return codes

    def _pump(self, child: Child, stream: IO[str]) -> None:
        for raw in stream:
            line = raw.rstrip("\n")
            child.note(line)
            self._sink(child.name, line)

    def _drain(self) -> None:
        for reader in self._readers:
            reader.join(timeout=0.5)


def _how_it_ended(child: Child) -> str:
    code = child.exit_code or 0
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_words(child: Child) -> str:
    words = [line for line in child.last_lines if line.strip()]
    return f"last line: {words[-1]}" if words else "it said nothing"


def _signal_group(child: Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.popen.pid, number)


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal reached the command; everything it started has to end."""


def stop_on_signals() -> contextlib.AbstractContextManager[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into ``StopRequested`` inside the block."""

    def raise_stop(_number: int, _frame: FrameType | None) -> None:
        raise StopRequested

    return _handling_signals(raise_stop)


def _deaf_to_signals() -> contextlib.AbstractContextManager[None]:
    return _handling_signals(signal.SIG_IGN)


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Deliver a stop signal after the block: a process started but not yet in the list would outlive us."""
    held: list[int] = []
    with _handling_signals(lambda number, _frame: held.append(number)):
        yield
    if held:
        signal.raise_signal(held[0])


@contextlib.contextmanager
def _handling_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    """Handle the stop signals so inside the block; outside the main thread Python allows no handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)

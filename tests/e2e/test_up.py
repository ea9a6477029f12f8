"""``nhmm up`` stands and falls as one: everything starts, any death ends the rest, Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestration.cli.dagster_stack import Dagster
from orchestration.cli.layout import Exit, Ports, url
from orchestration.cli.processes import ProcessGroup
from tests.e2e.command_line import Running
from tests.integration.simulated_exchange import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROCESSES = {"exchange", "engine", "code-server", "webserver", "daemon"}
MARK = "UP_TEST_RUN"
UP_S = 120.0


class Up:
    """One ``nhmm up`` on free ports. Everything it starts inherits ``mark``, so that survivors can be found."""

    def __init__(self, cwd: Path, home: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.ports = Ports(*(free_port() for _ in range(4)))
        self.lines: list[str] = []
        self._serves = threading.Event()
        self._running = Running(
            cwd,
            *("up", "--home", str(home)),
            *("--engine-port", str(self.ports.engine), "--exchange-port", str(self.ports.exchange)),
            *("--web-port", str(self.ports.web), "--code-server-port", str(self.ports.code_server)),
            env={MARK: self.mark},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._running.process.stdout is not None
        for line in self._running.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if "Ctrl-C stops all" in line:
                self._serves.set()

    def wait_serving(self) -> None:
        assert self._serves.wait(UP_S), "\n".join(self.lines[-20:])

    def end(self, number: signal.Signals) -> int:
        code = self._running.end(number, timeout_s=60)
        self._reader.join(10)
        return code

    def wait(self) -> int:
        code = self._running.process.wait(60)
        self._reader.join(10)
        return code

    def of(self, name: str) -> list[str]:
        """Return what one process said."""
        return [line.partition("| ")[2] for line in self.lines if line.partition("|")[0].strip() == name]

    def pids(self, words: str = "") -> list[int]:
        """Return the living processes of this run whose command line contains ``words``."""
        return [pid for pid in _marked(self.mark) if words in _command(pid)]


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            if wanted in environment.split(b"\0"):
                yield int(folder.name)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.fixture
def started() -> Iterator[list[Up]]:
    """Every ``Up`` in this list is ended after the test, however the test went."""
    running: list[Up] = []
    yield running
    for up in running:
        up.end(signal.SIGTERM)
        for pid in up.pids():
            os.kill(pid, signal.SIGKILL)


def test_everything_serves_a_run_is_kept_and_ctrl_c_leaves_nothing(tmp_path: Path, started: list[Up]) -> None:
    home = tmp_path / "home"
    first = Up(tmp_path, home)
    started.append(first)
    first.wait_serving()
    assert httpx.get(f"{url(first.ports.engine)}/readyz", trust_env=False).json()["ready"] is True
    assert httpx.get(f"{url(first.ports.exchange)}/api/v3/ping", trust_env=False).status_code == 200

    dagster = Dagster(first.ports.web)
    run_id = dagster.launch("universe_job")
    dagster.follow(run_id, ProcessGroup(lambda _name, _line: None), lambda _news: None, timeout_s=90)
    assert _schedules_running(first.ports.web)
    dagster.close()

    assert first.end(signal.SIGINT) == Exit.OK
    assert first.of("up")[-1] == "stopping everything"
    assert {line.partition("|")[0].strip() for line in first.lines} >= PROCESSES - {"webserver"}
    assert first.pids() == []

    second = Up(tmp_path, home)
    started.append(second)
    second.wait_serving()
    dagster = Dagster(second.ports.web)
    assert dagster.runs()[run_id] == "SUCCESS"
    dagster.close()
    _kill_one(second, "daemon", "dagster-daemon")


def test_when_one_dies_it_is_named_the_others_end_and_the_exit_code_says_so(tmp_path: Path, started: list[Up]) -> None:
    up = Up(tmp_path, tmp_path / "home")
    started.append(up)
    up.wait_serving()
    _kill_one(up, "engine", "engine_service.main")


def _kill_one(up: Up, name: str, words: str) -> None:
    (victim,) = up.pids(words)
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    assert up.wait() == Exit.FAILED
    assert time.monotonic() - began < 40
    assert re.match(rf"{name}: ended by SIGKILL; .*stopping the others$", up.of("up")[-1])
    assert up.pids() == []


def test_a_stop_during_the_start_leaves_nothing_either(tmp_path: Path, started: list[Up]) -> None:
    up = Up(tmp_path, tmp_path / "home")
    started.append(up)
    deadline = time.monotonic() + 60
    while not up.pids("/dagster code-server start") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert up.end(signal.SIGTERM) == Exit.OK
    assert up.pids() == []


def _schedules_running(port: int) -> bool:
    """True where every schedule is switched on without anyone having done so."""
    query = """{ schedulesOrError(repositorySelector: {repositoryLocationName: "trading",
      repositoryName: "__repository__"}) { ... on Schedules { results { scheduleState { status } } } } }"""
    answer = httpx.post(f"{url(port)}/graphql", json={"query": query}, timeout=20, trust_env=False).json()
    states = [row["scheduleState"]["status"] for row in answer["data"]["schedulesOrError"]["results"]]
    return bool(states) and set(states) == {"RUNNING"}

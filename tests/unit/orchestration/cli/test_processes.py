"""Processes that live and die together: readiness, death with a reason, and an end that leaves nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.cli import processes
from orchestration.cli.processes import ProcessFailed, ProcessGroup, StopRequested, child_environment, stop_on_signals

READY = "import time; print('ready http://127.0.0.1:1', flush=True); time.sleep(60)"
CLEAN = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); {READY}"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"
WITH_HELPER = f"""
import subprocess, sys
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("helper", helper.pid, flush=True)
{CLEAN}
"""

Lines = list[tuple[str, str]]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def group(lines: Lines) -> Iterator[ProcessGroup]:
    running = ProcessGroup(lambda name, line: lines.append((name, line)))
    yield running
    running.stop()


def alive(pid: int) -> bool:
    """True while the process runs; one that is dead but not collected is not alive."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def until(condition: object, timeout_s: float = 5.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def test_a_process_is_ready_when_it_says_so(group: ProcessGroup) -> None:
    assert group.wait_ready(group.start("engine", ["-c", READY]), timeout_s=10) == "http://127.0.0.1:1"


def test_every_line_reaches_the_sink_under_its_name(group: ProcessGroup, lines: Lines) -> None:
    child = group.start("engine", ["-c", "import sys; print('out'); print('err', file=sys.stderr)"])
    child.popen.wait(10)
    assert until(lambda: len(lines) == 2)
    assert sorted(lines) == [("engine", "err"), ("engine", "out")]


def test_one_that_ends_before_it_is_ready_is_named_with_its_last_words(group: ProcessGroup) -> None:
    child = group.start("engine", ["-c", "import sys; sys.exit('port 8003 is in use')"])
    with pytest.raises(ProcessFailed, match=r"engine: .*port 8003 is in use") as failure:
        group.wait_ready(child, timeout_s=10)
    assert failure.value.exit_code == 1


def test_one_that_stays_silent_is_not_waited_for_forever(group: ProcessGroup) -> None:
    with pytest.raises(ProcessFailed, match="not ready after"):
        group.wait_ready(group.start("engine", ["-c", "import time; time.sleep(60)"]), timeout_s=0.3)


def test_a_death_is_noticed_and_says_how(group: ProcessGroup) -> None:
    group.start("exchange", ["-c", CLEAN])
    engine = group.start("engine", ["-c", READY])
    group.wait_ready(engine, timeout_s=10)
    group.require_alive()
    engine.popen.send_signal(signal.SIGKILL)
    engine.popen.wait(10)
    with pytest.raises(ProcessFailed, match="engine: ended by SIGKILL"):
        group.require_alive()


def test_a_process_that_ends_well_but_too_early_is_a_death_too(group: ProcessGroup) -> None:
    group.start("daemon", ["-c", "print('bye')"]).popen.wait(10)
    with pytest.raises(ProcessFailed, match="daemon: ended with exit code 0; last line: bye"):
        group.require_alive()


def test_stopping_asks_first_newest_first(group: ProcessGroup) -> None:
    for name in ("exchange", "engine"):
        group.wait_ready(group.start(name, ["-c", CLEAN]), timeout_s=10)
    assert group.stop() == {"exchange": 0, "engine": 0}
    assert group.dead() is None


def test_one_that_does_not_listen_is_forced(group: ProcessGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_GRACE_S", 0.2)
    group.wait_ready(group.start("webserver", ["-c", DEAF]), timeout_s=10)
    assert group.stop() == {"webserver": -signal.SIGKILL}


def test_helpers_of_a_process_end_with_it(group: ProcessGroup, lines: Lines) -> None:
    group.wait_ready(group.start("code-server", ["-c", WITH_HELPER]), timeout_s=10)
    helper = next(int(line.split()[1]) for _, line in lines if line.startswith("helper"))
    assert alive(helper)
    group.stop()
    assert until(lambda: not alive(helper))


def test_helpers_end_even_when_their_process_was_killed(group: ProcessGroup, lines: Lines) -> None:
    child = group.start("code-server", ["-c", WITH_HELPER])
    group.wait_ready(child, timeout_s=10)
    helper = next(int(line.split()[1]) for _, line in lines if line.startswith("helper"))
    child.popen.kill()
    child.popen.wait(10)
    group.stop()
    assert until(lambda: not alive(helper))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_the_block_and_the_old_handler_is_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StopRequested), stop_on_signals():
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_cut_the_stopping_short(tmp_path: Path) -> None:
    slow = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit(0)));" + READY
    program = f"""
import sys
from orchestration.cli.processes import ProcessGroup, StopRequested, stop_on_signals
group = ProcessGroup(lambda name, line: None)
try:
    with stop_on_signals():
        child = group.start("engine", ["-c", {slow!r}])
        group.wait_ready(child, 10)
        print("up", child.popen.pid, flush=True)
        child.popen.wait()
except StopRequested:
    print("stopping", flush=True)
    print(group.stop(), flush=True)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE, text=True, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("up")
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.readline() == "stopping\n"
        time.sleep(0.3)
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.readline() == "{'engine': 0}\n"
        assert parent.wait(10) == 0


def test_a_process_started_from_elsewhere_imports_the_checkout(group: ProcessGroup, tmp_path: Path) -> None:
    program = "import engine_service.domain.money; print('imported')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=child_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "imported\n"


def test_what_a_child_is_given_beats_what_it_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NHMM_VENUE", "binance")
    assert child_environment({"NHMM_VENUE": "paper"})["NHMM_VENUE"] == "paper"
    assert child_environment()["DAGSTER_DISABLE_TELEMETRY"] == "1"


def test_a_stop_in_the_moment_of_a_start_leaves_no_process_behind(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    script = 'echo $$ >> "$1"; kill -TERM $PPID; exec sleep 60'
    for _ in range(20):
        group = ProcessGroup(lambda _name, _line: None)
        with pytest.raises(StopRequested), stop_on_signals():
            group.start("early", ["/bin/sh", "-c", script, "sh", str(note)])
            time.sleep(5)
        group.stop()
    pids = [int(line) for line in note.read_text(encoding="utf-8").split()]
    assert len(pids) == 20
    assert [pid for pid in pids if alive(pid)] == []

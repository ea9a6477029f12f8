from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[4]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(port: int, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine_service.exchange_sim", "--port", str(port), "--history", "60s"]
    return subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_says_ready_serves_goes_on_live_and_ends_with_0_on_sigterm() -> None:
    port = free_port()
    process = start(port)
    assert process.stdout is not None
    assert process.stdout.readline() == f"ready http://127.0.0.1:{port}\n"
    url = f"http://127.0.0.1:{port}/_sim/regimes"
    began = time.monotonic()
    before = httpx.get(url).json()
    time.sleep(2.2)
    after = httpx.get(url).json()
    assert 2 <= len(after) - len(before) <= time.monotonic() - began + 1
    assert 0 <= time.time() * 1000 - after[-1]["ts"] - 1000 < 6000
    second = start(port)
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert errors.strip().splitlines()[-1].startswith(f"exchange: cannot serve on 127.0.0.1:{port}: ")
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=10)
    assert (process.returncode, rest) == (0, "")

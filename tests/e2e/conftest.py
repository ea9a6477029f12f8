"""One demo run for all end-to-end tests: started as a person would, left running, and stopped at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO_TIMEOUT_S = 600


@dataclass(frozen=True)
class RunningDemo:
    """A finished demo whose processes still serve. ``result`` is its JSON line."""

    home: Path
    result: dict[str, Any]
    process: subprocess.Popen[str]

    @property
    def dagster_url(self) -> str:
        return str(self.result["urls"]["dagster"])

    @property
    def engine_url(self) -> str:
        return str(self.result["urls"]["engine"]).removesuffix("/docs")

    def token(self, scope: str) -> str:
        """Return one of the engine's own tokens."""
        tokens: dict[str, str] = json.loads((self.home / "engine" / "tokens.json").read_text(encoding="utf-8"))
        return tokens[scope]


def nhmm(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start the command line from the checkout, with pipes for its output."""
    command = [
        sys.executable,
        "-c",
        "import sys; from orchestration.cli.app import main; sys.exit(main())",
        *arguments,
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NHMM_", "DAGSTER_"))}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    home = tmp_path_factory.mktemp("demo")
    log = (home / "progress.log").open("w", encoding="utf-8")
    command = [sys.executable, "-m", "orchestration.cli", "demo", "--json", "--keep", "--seconds", "60"]
    process = subprocess.Popen(
        [*command, "--home", str(home)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    line = next((text for text in process.stdout if text.startswith("{")), None)
    if line is None:
        process.wait(timeout=30)
        pytest.fail("the demo printed no result:\n" + (home / "progress.log").read_text(encoding="utf-8"))
    yield RunningDemo(home, json.loads(line), process)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    log.close()

"""Peers live in an environment of their own: installed once at pinned versions, run as a process, never imported."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INSTALL_TIMEOUT_S = 900
RUN_TIMEOUT_S = 900


class PeerMissing(Exception):
    """The peer's packages could not be installed; the message says which and why."""


def cache() -> Path:
    """Return where the peers' environments are kept: ``NHMM_HOME`` or ``./data``, subfolder ``peers``."""
    return Path(os.environ.get("NHMM_HOME", "data")).expanduser().resolve() / "peers"


def environment(packages: Sequence[str]) -> Path:
    """Return the Python of an environment that holds exactly these pinned packages; made on first use.

    Raises:
        PeerMissing: the package index cannot be reached, or has no such version.
    """
    tag = hashlib.sha256("\n".join([sys.version, *sorted(packages)]).encode()).hexdigest()[:12]
    folder = cache() / tag
    python, done = folder / "bin" / "python", folder / "installed"
    if done.exists():
        return python
    print(f"installing {', '.join(packages)} into {folder}", file=sys.stderr, flush=True)
    venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"installing {', '.join(packages)} took more than {INSTALL_TIMEOUT_S} s") from error
    if result.returncode != 0:
        said = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or ["pip said nothing"]
        raise PeerMissing(f"cannot install {', '.join(packages)}: {said[-1]}")
    done.touch()
    return python


def run(python: Path, script: Path, *arguments: str) -> Any:
    """Run a peer's script and return the JSON object on the last line it printed.

    Raises:
        RuntimeError: it failed; the message ends with what it wrote.
    """
    command = [str(python), str(script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{script.name} failed: {result.stderr.strip()[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])

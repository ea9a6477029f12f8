"""One process that tries mutants in its own copy of the tree: reads a line of JSON per mutant, answers with one.

What no mutant can change, pytest and every library, is imported once; each mutant then gets a fork of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

_OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--no-header")
_FAILED = frozenset({pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR})


class Fate(StrEnum):
    """``KILLED``: a test failed, or it could not even be imported. ``TIMED_OUT``: it ran on for ever."""

    KILLED = "killed"
    TIMED_OUT = "timed_out"
    SURVIVED = "survived"
    UNTESTED = "untested"


def serve(home: Path) -> None:
    """Answer until the input ends. The copy's own source is put back after each mutant."""
    for line in sys.stdin:
        request = json.loads(line)
        target, fate = home / request["path"], Fate.UNTESTED
        if request.get("source") is None:
            fate = _try(request["tests"], request["limit_s"], keep_compiled=True)
            warm_up()
        else:
            fate = _mutated(target, request)
        print(json.dumps({"fate": fate}), file=_ANSWERS, flush=True)


def _mutated(target: Path, request: dict[str, Any]) -> Fate:
    original, times = target.read_bytes(), (target.stat().st_atime, target.stat().st_mtime)
    target.write_text(request["source"], encoding="utf-8")
    try:
        return _try(request["tests"], request["limit_s"], keep_compiled=False)
    finally:
        target.write_bytes(original)
        os.utime(target, times)


def _try(tests: list[str], limit_s: float, *, keep_compiled: bool) -> Fate:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _run(tests, write_end, keep_compiled=keep_compiled)
    os.close(write_end)
    try:
        ready, _, _ = select.select([read_end], [], [], limit_s)
        said = os.read(read_end, 1 << 20) if ready else b""
    finally:
        os.close(read_end)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not ready:
        return Fate.TIMED_OUT
    code, _, loaded = said.decode().partition(" ")
    if keep_compiled:
        _WARM.update(dict.fromkeys(loaded.split()))
    if not code:
        return Fate.KILLED
    if int(code) == pytest.ExitCode.OK:
        return Fate.SURVIVED
    return Fate.KILLED if int(code) in _FAILED else Fate.UNTESTED


def _run(tests: list[str], write_end: int, *, keep_compiled: bool) -> None:
    """In the fork: run the tests, say how they ended, and be gone."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.dont_write_bytecode = not keep_compiled
    code = int(pytest.main([*_OPTIONS, *tests]))
    os.write(write_end, f"{code} {' '.join(_libraries()) if keep_compiled else ''}".encode()[:60_000])
    os._exit(0)


def _libraries() -> list[str]:
    """Return the loaded modules that are not the tree's own, in the order in which their loading began.

    Another order can break one: ``_asyncio`` without ``asyncio`` before it leaves tasks that know of no current task.
    """
    home = str(Path.cwd())
    return [
        name
        for name, module in list(sys.modules.items())
        if not (getattr(module, "__file__", None) or home).startswith(home) and not name.startswith("__")
    ]


def warm_up() -> None:
    """Import the libraries that the tests were seen to import."""
    for name in _WARM:
        if name not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    _WARM.clear()


_WARM: dict[str, None] = {}
_ANSWERS = sys.stdout

if __name__ == "__main__":
    serve(Path.cwd())

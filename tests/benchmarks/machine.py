"""Where the figures were taken: without it they mean nothing to the next reader."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime

SYNCS = 200
PAGE = b"\0" * 4096


def describe() -> Iterator[tuple[str, str]]:
    """Yield name and value: date, machine, interpreter, load, and what one fsync costs here."""
    half, worst = fsync_ms()
    yield "date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    yield "machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    yield "python", platform.python_version()
    yield "load before", f"{os.getloadavg()[0]:.2f}"
    yield "fsync p50 / p99", f"{half:.2f} ms / {worst:.2f} ms"


def fsync_ms() -> tuple[float, float]:
    """Return median and 99th percentile of appending one page and syncing it, ms."""
    took = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(SYNCS):
            file.write(PAGE)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return took[SYNCS // 2], took[int(SYNCS * 0.99)]

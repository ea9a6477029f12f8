"""What the log says of an error: its traceback, written by another thread, and no secret in it."""

from __future__ import annotations

import json
import subprocess
import sys

FAILING = """
import logging
import structlog
from observability.log_config import configure

configure("test")
for log in (structlog.get_logger("ours"), logging.getLogger("theirs")):
    try:
        raise ValueError("https://venue/order?signature=abcdef0123456789")
    except ValueError:
        log.exception("a background task failed")
"""


def test_an_error_is_logged_with_its_traceback_and_without_secrets() -> None:
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=True, timeout=60)
    ours, theirs = (json.loads(line) for line in done.stderr.splitlines())
    for line in (ours, theirs):
        assert line["event"] == "a background task failed"
        assert "Traceback" in line["exception"]
        assert "ValueError" in line["exception"]
    assert "abcdef0123456789" not in ours["exception"]
    assert "abcdef0123456789" not in theirs["exception"]

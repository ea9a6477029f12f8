"""The log's own thread: nothing waits for it, what it cannot write is counted, and an end waits for what was said."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator

import pytest

from observability.log_writer import LogWriter

PIPE_BYTES = 1 << 20


def record(words: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, __file__, 1, words, None, None)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        os.close(descriptor)


def test_lines_are_written_in_order_before_a_drain_returns(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LogWriter(write)
    for number in range(100):
        writer.emit(record(f"line {number} – ü"))
    assert writer.drain(10)
    assert os.read(read, PIPE_BYTES).decode().splitlines() == [f"line {number} – ü" for number in range(100)]
    assert writer.dropped == 0


def test_a_log_that_nobody_reads_holds_nobody_up_and_what_is_lost_is_counted(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LogWriter(write, capacity=10)
    began = time.monotonic()
    for number in range(30):
        writer.emit(record(f"{number} {'x' * 100_000}"))
    assert time.monotonic() - began < 5
    assert writer.dropped >= 19
    assert not writer.drain(0.05)
    # Read again, so that the thread does not stay in its write beyond the pipe's end.
    while not writer.drain(0.05):
        os.read(read, PIPE_BYTES)


def test_a_full_disk_is_counted_and_raises_nowhere() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(descriptor)
    for number in range(3):
        writer.emit(record(f"line {number}"))
    assert writer.drain(10)
    assert writer.dropped == 3
    os.close(descriptor)


def test_a_record_that_cannot_be_formatted_does_not_end_the_thread(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LogWriter(write)
    writer.emit(logging.LogRecord("test", logging.INFO, __file__, 1, "%d of %d", ("one",), None))
    writer.emit(record("still here"))
    assert writer.drain(10)
    assert (writer.dropped, os.read(read, PIPE_BYTES)) == (1, b"still here\n")

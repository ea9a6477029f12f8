"""The note of a halt: the same block for ever, whole or a halt."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_service.domain.state import Halt
from engine_service.storage.halt_note import BLOCK_BYTES, HaltNote

HALT = Halt(reason="the disk is full", principal="me", at_ms=1_700_000_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "halt.note"


def prepared(path: Path) -> HaltNote:
    note = HaltNote(path)
    note.prepare()
    return note


def test_a_new_note_says_nothing_and_has_its_block(path: Path) -> None:
    assert HaltNote(path).read() is None
    assert prepared(path).read() is None
    assert path.stat().st_size == BLOCK_BYTES
    assert path.stat().st_blocks > 0


def test_a_halt_takes_no_new_block_and_is_read_by_the_next_process(path: Path) -> None:
    note = prepared(path)
    before = path.stat()
    assert note.keep(HALT)
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_blocks) == (before.st_ino, before.st_size, before.st_blocks)
    found = prepared(path).read()
    assert found == Halt(
        reason="the disk is full (halted at 2023-11-14 22:13:20 UTC, when the journal could not be written)",
        principal="me",
        at_ms=HALT.at_ms,
    )
    note.clear()
    assert HaltNote(path).read() is None
    assert path.stat().st_ino == before.st_ino


def test_the_first_halt_of_a_process_stands(path: Path) -> None:
    note = prepared(path)
    assert note.keep(HALT)
    assert note.keep(Halt(reason="later", principal="you", at_ms=HALT.at_ms + 1))
    found = note.read()
    assert found is not None
    assert found.principal == "me"


def test_the_longest_reason_in_any_script_fits(path: Path) -> None:
    note = prepared(path)
    assert note.keep(Halt(reason="\x01" * 10_000, principal="\U0001f6d1" * 1_000, at_ms=10**14))
    assert path.stat().st_size == BLOCK_BYTES
    found = note.read()
    assert found is not None
    assert found.principal == "\U0001f6d1" * 100


def test_without_its_block_nothing_is_kept_and_nothing_is_made(path: Path) -> None:
    assert not HaltNote(path).keep(HALT)
    assert not path.exists()


@pytest.mark.parametrize("torn", range(0, 400, 7))
def test_a_note_that_was_torn_is_a_halt(path: Path, torn: int) -> None:
    prepared(path)
    old = path.read_bytes()
    prepared(path).keep(HALT)
    new = path.read_bytes()
    path.write_bytes(new[:torn] + old[torn:])
    assert (HaltNote(path).read() is None) == (new[:torn] + old[torn:] == old)


@pytest.mark.parametrize("content", [b"", b"\0" * BLOCK_BYTES, b"{}".ljust(BLOCK_BYTES), b"\xff" * BLOCK_BYTES])
def test_a_damaged_note_is_a_halt_that_says_why_and_can_be_lifted(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    note = prepared(path)
    found = note.read()
    assert found is not None
    assert "halt.note cannot be read" in found.reason
    assert (found.principal, found.at_ms) == ("engine", 0)
    note.clear()
    assert note.read() is None


def test_every_flipped_bit_is_a_halt(path: Path) -> None:
    prepared(path)
    whole = path.read_bytes()
    for place in range(len(whole.rstrip())):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert HaltNote(path).read() is not None, place

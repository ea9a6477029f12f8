"""Snapshots of the state: written whole or not at all, checked before use, the last few kept.

A snapshot only saves time; the journal alone is enough. One that is damaged, newer than the journal, or of another
version is skipped with a reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine_service.domain.state import EngineState, StateImage
from engine_service.storage.codec import Undecodable, canonical, decode, encode, encode_canonical
from engine_service.storage.keys import sync_folder

VERSION: Final = 1
KEPT: Final = 5
#: Between pieces of the work on a large state, so that orders come first.
PAUSE_S: Final = 0.002
_NAME = re.compile(r"^state-(\d{12})\.json$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """First line of a snapshot file: what the second line is.

    ``sha256`` is of the line as it stands; ``state_hash`` of the state it holds, whatever its order. Empty: not known.
    """

    version: int
    seq: int
    sha256: str
    state_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A usable snapshot and, for the log, why newer ones were skipped."""

    image: StateImage
    seq: int
    skipped: tuple[str, ...] = ()


def state_hash(state: EngineState) -> str:
    """Return a hash that equal states share: sorted keys, exact decimals."""
    return hashlib.sha256(encode_canonical(state.image)).hexdigest()


def save(folder: Path, state: EngineState, seq: int, *, keep: int = KEPT) -> Path:
    """Write the state as of journal sequence ``seq``; older snapshots beyond ``keep`` go.

    Raises:
        OSError: it could not be written; earlier snapshots are untouched.
    """
    return write(folder, encode(state.image), seq, keep=keep)


def write(folder: Path, body: bytes, seq: int, *, keep: int = KEPT) -> Path:
    """Write an encoded state: to a temporary file, to the disk, then into its place. Safe to call in a thread.

    Raises:
        OSError: it could not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = hashlib.sha256(canonical(body, lambda: time.sleep(PAUSE_S))).hexdigest()
    header = encode(Header(version=VERSION, seq=seq, sha256=hashlib.sha256(body).hexdigest(), state_hash=state))
    target = folder / f"state-{seq:012d}.json"
    temporary = folder / f".{target.name}.{os.getpid()}"
    with temporary.open("wb") as file:
        file.write(header + b"\n" + body + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(target)
    sync_folder(folder)
    for old in sorted(_snapshots(folder), reverse=True)[keep:]:
        old.unlink(missing_ok=True)
    return target


def load_newest(folder: Path, *, not_after: int) -> Loaded | None:
    """Return the newest sound snapshot that is not newer than the journal, or ``None``."""
    skipped: list[str] = []
    for path in sorted(_snapshots(folder), reverse=True):
        try:
            image, seq = _read(path)
        except (OSError, Undecodable) as error:
            skipped.append(f"{path.name}: {error}")
            continue
        if seq > not_after:
            skipped.append(f"{path.name}: newer than the journal, which ends at {not_after}")
            continue
        return Loaded(image=image, seq=seq, skipped=tuple(skipped))
    return None


def newest_snapshot(folder: Path) -> int:
    """Return the sequence number of the newest snapshot by its name, sound or not; 0 where there is none."""
    return max((int(path.stem.removeprefix("state-")) for path in _snapshots(folder)), default=0)


def recorded_hashes(folder: Path) -> dict[int, str]:
    """Return the hashes of the live state that sound snapshots recorded, by sequence number."""
    found = {}
    for path in _snapshots(folder):
        with contextlib.suppress(OSError, Undecodable):
            header, _ = _parts(path)
            if header.state_hash:
                found[header.seq] = header.state_hash
    return found


def _read(path: Path) -> tuple[StateImage, int]:
    header, body = _parts(path)
    return decode(StateImage, body), header.seq


def _parts(path: Path) -> tuple[Header, bytes]:
    first, _, rest = path.read_bytes().partition(b"\n")
    header = decode(Header, first)
    body = rest.removesuffix(b"\n")
    if header.version != VERSION:
        raise Undecodable(f"version {header.version} is not {VERSION}")
    if hashlib.sha256(body).hexdigest() != header.sha256:
        raise Undecodable("the checksum does not fit")
    return header, body


def _snapshots(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return iter(())
    return (path for path in folder.iterdir() if _NAME.fullmatch(path.name))

"""Row ``torn_journals``: after a power cut the journal is a prefix with every acknowledged order, or the start refuses.

Images are copies of a living engine's home. Beyond the last sync anything may have happened to the log: it is cut at
every 512 bytes, bits are flipped, sectors are zero. Before it nothing should ever happen; there bits rot.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine_service.storage.layout import EngineFiles
from tests.faults.homes import Written, damaged, wal_of, write_homes_now
from tests.faults.rows import Failure, Options, Outcome, Row
from tests.integration.simulated_exchange import ROOT

SECTOR = 512
ORDERS = 40
Damage = Callable[[Path], None]


def run(options: Options) -> Outcome:
    """Write one home, damage many copies of it."""
    written = write_homes_now(options.folder / "engine", options.seed, orders=ORDERS)
    return try_images(written, options.folder, options.pick(100, 500), options.seed)


def try_images(written: Written, folder: Path, number: int, seed: int) -> Outcome:
    """Open that many damaged copies: half torn beyond the last sync, half rotten before it."""
    outcome, came_to = Outcome(tried=0), Counter[str]()
    with _opener(folder / "opener.log") as ask:
        whole = _hashes(ask(damaged(written.later, folder / "whole", lambda _: None)))
        for name, damage in _damages(written, number, random.Random(seed)):
            outcome.tried += 1
            home = damaged(written.quiet, folder / "image", damage)
            answer = ask(home)
            came_to[_kind(answer, len(whole))] += 1
            outcome.failures += [Failure(name, wrong) for wrong in _wrong(answer, written.acknowledged, whole)]
            shutil.rmtree(home)
    outcome.notes = ", ".join(f"{count} {kind}" for kind, count in came_to.most_common())
    return outcome


def _damages(written: Written, number: int, chance: random.Random) -> Iterator[tuple[str, Damage]]:
    end, log = written.tail
    cuts = list(range(end, len(log), SECTOR))
    chance.shuffle(cuts)
    for cut in cuts[: number // 4]:
        yield f"log cut at {cut}", _writes_log(log[:cut])
    for _ in range(number // 8):
        place = chance.randrange(end, len(log))
        yield f"log bit flipped at {place}", _writes_log(_flipped(log, place, chance))
    for _ in range(number // 8):
        sector = chance.randrange(end // SECTOR + 1, len(log) // SECTOR) * SECTOR
        yield f"log sector zeroed at {sector}", _writes_log(_zeroed(log, sector))
    left = number - min(len(cuts), number // 4) - 2 * (number // 8)
    for count in range(left):
        yield _rot(written.quiet, of_log=count % 2 == 0, chance=chance)


def _rot(home: Path, *, of_log: bool, chance: random.Random) -> tuple[str, Damage]:
    path = wal_of(home) if of_log else EngineFiles(home).journal
    content = path.read_bytes()
    place = chance.randrange(len(content))
    zeroes = chance.random() < 0.3
    bad = _zeroed(content, place // SECTOR * SECTOR) if zeroes else _flipped(content, place, chance)
    name = f"{path.name} {'sector zeroed' if zeroes else 'bit flipped'} at {place} of {len(content)}"
    return name, lambda image: _write(image / path.relative_to(home), bad)


def _writes_log(content: bytes) -> Damage:
    return lambda image: _write(wal_of(image), content)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _flipped(content: bytes, place: int, chance: random.Random) -> bytes:
    return content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]


def _zeroed(content: bytes, sector: int) -> bytes:
    return content[:sector] + bytes(min(SECTOR, len(content) - sector)) + content[sector + SECTOR :]


def _wrong(answer: dict[str, Any], acknowledged: tuple[str, ...], whole: dict[int, str]) -> Iterator[str]:
    """A start that refuses by name is right; one that goes on must have everything that was promised."""
    if "refused" in answer:
        return
    if "fell_over" in answer:
        yield answer["fell_over"]
        return
    missing = set(acknowledged) - set(answer["orders"])
    if missing:
        yield f"started without {len(missing)} of {len(acknowledged)} acknowledged orders"
    rows = _hashes(answer)
    if list(rows) != list(range(1, len(rows) + 1)) or any(whole.get(seq) != digest for seq, digest in rows.items()):
        yield f"started on {len(rows)} events that are no prefix of the {len(whole)} that were written"
    if float(answer["identity_error"]) != 0:
        yield f"equity identity off by {answer['identity_error']}"


def _hashes(answer: dict[str, Any]) -> dict[int, str]:
    return {int(seq): digest for seq, digest in answer["rows"]}


def _kind(answer: dict[str, Any], whole: int) -> str:
    if "rows" not in answer:
        return f"refused ({answer['refused']})" if "refused" in answer else "fell over"
    return "recovered whole" if len(answer["rows"]) == whole else "recovered to a prefix"


@contextmanager
def _opener(log: Path) -> Iterator[Callable[[Path], dict[str, Any]]]:
    with log.open("w") as errors:
        command = [sys.executable, "-m", "tests.faults.image_opener"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes to the opener")
        source, sink = process.stdout, process.stdin

        def ask(home: Path) -> dict[str, Any]:
            sink.write(f"{home}\n")
            sink.flush()
            return dict(json.loads(source.readline()))

        try:
            yield ask
        finally:
            sink.close()
            process.wait(30)
            source.close()


ROW = Row("torn_journals", "torn, flipped and zeroed journals: silently wrong starts", run)

"""Appends pairs of events as fast as it can and says which ones were acknowledged; ends only by a kill."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4]))

from engine_service.domain import events as e
from engine_service.storage.chain import load_key
from engine_service.storage.journal import SqliteJournal
from engine_service.storage.layout import EngineFiles
from engine_service.storage.port import Entry, Recorded


async def write_for_ever(home: Path) -> None:
    files = EngineFiles(home)
    files.folder.mkdir(parents=True)
    journal = SqliteJournal(files.journal, load_key(files.chain_key), account="test", epoch=1)
    print("ready", flush=True)
    number = 0

    async def one() -> None:
        nonlocal number
        while True:
            number += 1
            name, first = f"n{number}", journal.last_seq + 1
            pair = [
                Entry(
                    recorded=Recorded(
                        seq=first + half,
                        event=e.Anomaly(at_ms=1, kind="test", subject=f"{name}:{half}", detail=""),
                    )
                )
                for half in range(2)
            ]
            await journal.append(pair)
            print(f"{name}.", flush=True)

    await asyncio.gather(*(one() for _ in range(16)))


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1])))

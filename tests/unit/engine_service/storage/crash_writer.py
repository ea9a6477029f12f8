"""Appends pairs of events as fast as it can and says which ones were acknowledged; ends only by a kill."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4]))

from engine_service.domain import events as e
from engine_service.storage.layout import EngineFiles
from engine_service.storage.opening import open_journal
from engine_service.storage.port import Entry, Recorded


async def write_for_ever(home: Path) -> None:
    journal = open_journal(EngineFiles(home), account="test", epoch=1).journal
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

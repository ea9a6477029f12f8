"""Opens homes the way the engine's start does and says what came of it: a path a line in, a JSON object a line out.

A process of its own, because a start may log, hang or fall over. Nothing here talks to a venue.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
import traceback
from pathlib import Path
from typing import Any

from engine_service.bootstrap import build
from engine_service.domain.errors import ConfigurationError, EngineError
from engine_service.settings import default_config_dir, load_settings
from engine_service.storage.layout import EngineFiles
from engine_service.storage.schema import open_reader

KEYS = {"BINANCE_API_KEY": "demo", "BINANCE_API_SECRET": "demo-secret"}


def opened(home: Path) -> dict[str, Any]:
    """Return ``refused`` with its code, ``fell_over`` with its traceback, or what the engine would go on with."""
    try:
        return asyncio.run(_open(home))
    except (ConfigurationError, EngineError) as error:
        return {"refused": error.code, "detail": str(error)[:300]}
    except Exception:  # noqa: BLE001  # whatever else comes out of a start is the finding itself
        return {"fell_over": traceback.format_exc()[-800:]}


async def _open(home: Path) -> dict[str, Any]:
    flags = {"home": home, "venue": "binance", "venue_url": "http://127.0.0.1:9", "strategies": "off"}
    engine = await build(load_settings(flags, KEYS, default_config_dir()), default_config_dir())
    core = engine.core
    try:
        ids = [row[0] for row in _rows(home, "SELECT client_order_id FROM orders")]
        return {
            "rows": [[seq, digest.hex()] for seq, digest in _rows(home, "SELECT seq, hash FROM events ORDER BY seq")],
            "orders": [cid for cid in ids if core.state.order(cid) is not None or core.journal.order(cid) is not None],
            "identity_error": str(core.state.portfolio.identity_error),
        }
    finally:
        await engine.supervisor.stop()
        core.journal.close()
        engine.lease.release()


def _rows(home: Path, query: str) -> list[Any]:
    connection: sqlite3.Connection = open_reader(EngineFiles(home).journal)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def main() -> None:
    """Answer until the end of the input."""
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            answer = opened(Path(line.strip()))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

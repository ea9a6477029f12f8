"""The exchange's moods: which faults are in force, changed at random while orders flow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import httpx

Fault = dict[str, Any]

#: Both ways an order travels: the WebSocket API, and REST while its socket is down.
_PLACE: tuple[Fault, ...] = ({"path": "order.place", "method": "WS"}, {"path": "/api/v3/order", "method": "POST"})
_CANCEL: tuple[Fault, ...] = ({"path": "order.cancel", "method": "WS"}, {"path": "/api/v3/order", "method": "DELETE"})
_QUERY: tuple[Fault, ...] = ({"path": "/api/v3/order", "method": "GET"},)
_REPORTS: tuple[Fault, ...] = ({"event": "executionReport"},)

MOODS: dict[str, list[Fault]] = {
    "calm": [],
    "lost answers": [
        *({"kind": "drop_after", "probability": 0.06, **at} for at in (*_PLACE, *_CANCEL)),
        *({"kind": "error_after", "http_status": 503, "probability": 0.06, **at} for at in _PLACE),
    ],
    "lost requests": [
        *({"kind": "drop_before", "probability": 0.015, **at} for at in (*_PLACE, *_CANCEL)),
        *({"kind": "error", "http_status": 503, "code": -1001, "probability": 0.015, **at} for at in _PLACE),
    ],
    # A request on its way for seconds: not found now, placed later. Only the fence tells it from a lost one.
    "slow requests": [
        *({"kind": "delay", "delay_ms": 200, "probability": 0.3, **at} for at in (*_PLACE, *_CANCEL)),
        *({"kind": "delay", "delay_ms": 2500, "probability": 0.04, **at} for at in _PLACE),
    ],
    "slow answers": [
        *({"kind": "delay_answer", "delay_ms": 250, "probability": 0.3, **at} for at in (*_PLACE, *_CANCEL)),
        *({"kind": "delay_answer", "delay_ms": 4000, "probability": 0.04, **at} for at in _PLACE),
    ],
    "failing reads": [
        *({"kind": "error", "http_status": 500, "code": -1000, "probability": 0.3, **at} for at in _QUERY),
        *({"kind": "drop_after", "probability": 0.2, **at} for at in _QUERY),
        *({"kind": "drop_after", "probability": 0.05, **at} for at in _PLACE),
    ],
    "muddled reports": [
        *({"kind": "duplicate", "delay_ms": 30, "probability": 0.3, **at} for at in _REPORTS),
        *({"kind": "reorder", "delay_ms": 300, "probability": 0.3, **at} for at in _REPORTS),
        *({"kind": "withhold", "probability": 0.2, **at} for at in _REPORTS),
    ],
}
LASTS_S = (0.3, 1.2)


async def change_for_ever(exchange_url: str, seed: int, among: Sequence[str] = tuple(sorted(MOODS))) -> None:
    """Put one or two moods in force at a time, for ever; cancel the task to stop, then call ``clear``."""
    chance = random.Random(seed)
    async with httpx.AsyncClient(base_url=exchange_url, timeout=10, trust_env=False) as admin:
        while True:
            moods = chance.sample(among, k=min(len(among), chance.choice((1, 1, 2))))
            await admin.delete("/_sim/faults")
            for mood in moods:
                if MOODS[mood]:
                    (await admin.post("/_sim/faults", json=MOODS[mood])).raise_for_status()
            await asyncio.sleep(chance.uniform(*LASTS_S))


async def clear(exchange_url: str) -> None:
    """Lift every fault."""
    async with httpx.AsyncClient(base_url=exchange_url, timeout=10, trust_env=False) as admin:
        (await admin.delete("/_sim/faults")).raise_for_status()

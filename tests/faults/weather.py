"""The exchange's moods: which faults are in force, changed at random while orders flow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import httpx

from engine_service.domain.ids import Market
from tests.faults.venue_cases import BY_MARKET, Fault


def moods(market: Market) -> dict[str, list[Fault]]:
    """Return every mood by its name. An order of spot travels by the WebSocket API, and by REST while that is down."""
    at = BY_MARKET[market]
    place, cancel, query, reports = at["place"], at["cancel"], at["query"][:1], at["reports"]
    return {
        "calm": [],
        "lost answers": [
            *({"kind": "drop_after", "probability": 0.06, **where} for where in (*place, *cancel)),
            *({"kind": "error_after", "http_status": 503, "probability": 0.06, **where} for where in place),
        ],
        "lost requests": [
            *({"kind": "drop_before", "probability": 0.015, **where} for where in (*place, *cancel)),
            *({"kind": "error", "http_status": 503, "code": -1001, "probability": 0.015, **where} for where in place),
        ],
        # A request on its way for seconds: not found now, placed later. Only the fence tells it from a lost one.
        "slow requests": [
            *({"kind": "delay", "delay_ms": 200, "probability": 0.3, **where} for where in (*place, *cancel)),
            *({"kind": "delay", "delay_ms": 2500, "probability": 0.04, **where} for where in place),
        ],
        "slow answers": [
            *({"kind": "delay_answer", "delay_ms": 250, "probability": 0.3, **where} for where in (*place, *cancel)),
            *({"kind": "delay_answer", "delay_ms": 4000, "probability": 0.04, **where} for where in place),
        ],
        "failing reads": [
            *({"kind": "error", "http_status": 500, "code": -1000, "probability": 0.3, **where} for where in query),
            *({"kind": "drop_after", "probability": 0.2, **where} for where in query),
            *({"kind": "drop_after", "probability": 0.05, **where} for where in place),
        ],
        "muddled reports": [
            *({"kind": "duplicate", "delay_ms": 30, "probability": 0.3, **where} for where in reports),
            *({"kind": "reorder", "delay_ms": 300, "probability": 0.3, **where} for where in reports),
            *({"kind": "withhold", "probability": 0.2, **where} for where in reports),
        ],
    }


LASTS_S = (0.3, 1.2)


async def change_for_ever(
    exchange_url: str, seed: int, among: Sequence[str] = (), *, market: Market = Market.SPOT
) -> None:
    """Put one or two moods (all, or ``among``) in force at a time, for ever.

    Cancel the task to stop, then call ``clear``.
    """
    chance, every = random.Random(seed), moods(market)
    among = among or sorted(every)
    async with httpx.AsyncClient(base_url=exchange_url, timeout=10, trust_env=False) as admin:
        while True:
            chosen = chance.sample(among, k=min(len(among), chance.choice((1, 1, 2))))
            await admin.delete("/_sim/faults")
            for mood in chosen:
                if every[mood]:
                    (await admin.post("/_sim/faults", json=every[mood])).raise_for_status()
            await asyncio.sleep(chance.uniform(*LASTS_S))


async def clear(exchange_url: str) -> None:
    """Lift every fault."""
    async with httpx.AsyncClient(base_url=exchange_url, timeout=10, trust_env=False) as admin:
        (await admin.delete("/_sim/faults")).raise_for_status()

"""How a refused request ends: with its problem document, and with the connection where more of it is still to come.

A caller that announced a gigabyte is not listened to until it has sent it. It gets its answer at once; then a little of
what is on its way is taken in, so that the answer is not lost in a reset, and the connection ends.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Scope, Send

from engine_service.api.http_exchange import EXCHANGE
from engine_service.api.problems import Answer

DRAINED_BYTES: Final = 64 * 1024
DRAINED_S: Final = 1.0


async def refuse(refusal: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the answer to a refused request."""
    if not _more_to_come(scope):
        await refusal(scope, receive, send)
        return
    headers = [*refusal.pairs(), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body, "more_body": True})
    await _drain(receive)
    await send({"type": "http.response.body", "body": b""})


def _more_to_come(scope: Scope) -> bool:
    """Tell whether a body was announced that nobody has read to its end."""
    exchange = scope.get(EXCHANGE)
    if "body" in scope["state"] or (exchange is not None and exchange.whole_body is not None):
        return False
    announced = dict(scope["headers"])
    return b"transfer-encoding" in announced or announced.get(b"content-length", b"0").strip() not in (b"0", b"")


async def whatever(receive: Receive, limit: int) -> bytes:
    """Return a body that is carried out as it comes: empty where it is too large, too slow or broken off."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(DRAINED_S):
            while sum(map(len, parts)) <= limit:
                message = await receive()
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        pass
    return b""


async def _drain(receive: Receive) -> None:
    taken = 0
    try:
        async with asyncio.timeout(DRAINED_S):
            while taken < DRAINED_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return

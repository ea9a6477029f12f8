"""``WS /ws``: the event stream as messages. It only tells: no order and no switch is taken over this socket.

A page of another origin is refused before the handshake. The token comes as the first message, as a subprotocol
(``bearer.TOKEN``) or, from a program that is no browser and sends no origin, as the usual header; never in the address.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine_service.api.body import read_object
from engine_service.api.event_subscription import Subscription, send_events
from engine_service.api.grants import Principal
from engine_service.api.missed_events import event_number
from engine_service.api.problems import problem
from engine_service.api.readers import PER_PRINCIPAL, Readers
from engine_service.api.request_head import is_own
from engine_service.api.routes import SOCKETS
from engine_service.domain.errors import EngineError, InvalidRequest, ShuttingDown, Unavailable
from engine_service.runtime.engine import Engine

AUTH_WITHIN_S: Final = 5.0
#: Connections that have not said who they are.
STRANGERS: Final = 64
MAX_HEADERS, MAX_HEADER_BYTES = 64, 8 * 1024
MESSAGES_PER_S: Final = 20
POLICY_VIOLATION, UNAUTHORISED, TOO_MANY = 1008, 4401, 4429
_BEARER: Final = "bearer"
_HOW_TO_KNOCK: Final = (
    "Open /ws without a query, by the engine's own address: a page of the engine's, or a program that sends no Origin "
    "and Authorization: Bearer TOKEN."
)

Identify = Callable[[str, str], Principal]


@dataclass(slots=True)
class EventSocket:
    """The ASGI application behind the one WebSocket route.

    ``identify(token, peer)`` raises for a stranger; ``readers`` says for how long who was let in may stay.
    """

    engine: Engine
    identify: Identify
    readers: Readers
    allowed_hosts: frozenset[str]
    _strangers: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = self._handshake(scope)
        except EngineError as error:
            await _refuse(error, send)
            return
        try:
            await self._serve(WebSocket(scope, receive, send), scope, headers)
        except WebSocketDisconnect:
            return

    def _handshake(self, scope: Scope) -> dict[bytes, bytes]:
        """Return the headers of a handshake that may be accepted.

        Raises:
            ShuttingDown: the engine is stopping. Unavailable: too many knock.
            InvalidRequest: it is not for this socket.
        """
        if self.engine.stopping:
            raise ShuttingDown
        headers = _headers(scope)
        if headers is None or not self._may_knock(scope, headers):
            raise InvalidRequest("ORIGIN_NOT_ALLOWED", _HOW_TO_KNOCK)
        if self._strangers >= STRANGERS and not _offered(headers, scope["subprotocols"])[0]:
            raise Unavailable("OVERLOADED", "Too many handshakes without a token at once.", retry_after_s=1)
        return headers

    async def _serve(self, socket: WebSocket, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        token, chosen = _offered(headers, scope["subprotocols"])
        await socket.accept(subprotocol=chosen)
        first: dict[str, Any] = {}
        if not token:
            first = await self._first_message(socket)
            token = str(first.get("token") or "")
        principal = self._principal(token, (scope.get("client") or ("", 0))[0])
        if principal is None:
            await socket.close(UNAUTHORISED, "a token is needed in the first message")
            return
        if not self.readers.may_enter(principal):
            await socket.close(TOO_MANY, f"at most {PER_PRINCIPAL} connections of one caller")
            return
        after = _resumed(first, headers, self.engine.core.journal.last_seq)
        if after is None:
            await socket.close(POLICY_VIOLATION, "no event of this journal to go on from; start with after 0")
            return
        with self.readers.inside(principal):
            await self._converse(socket, principal, Subscription(after=after))

    async def _first_message(self, socket: WebSocket) -> dict[str, Any]:
        self._strangers += 1
        try:
            async with asyncio.timeout(AUTH_WITHIN_S):
                return _read(await _text(socket)) or {}
        except TimeoutError:
            return {}
        finally:
            self._strangers -= 1

    def _principal(self, token: str, peer: str) -> Principal | None:
        try:
            principal = self.identify(token, peer)
        except EngineError:
            return None
        return principal if SOCKETS["/ws"].scope in principal.scopes else None

    async def _converse(self, socket: WebSocket, principal: Principal, subscription: Subscription) -> None:
        hello = {"type": "ready", "seq": self.engine.core.journal.last_seq, "after": subscription.after}
        await socket.send_text(orjson.dumps(hello).decode())
        others = {
            asyncio.create_task(self._hear(socket, subscription)),
            asyncio.create_task(self._watch(socket, principal)),
        }
        try:
            while await self._tell(socket, subscription, others):
                subscription.changed.clear()
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _watch(self, socket: WebSocket, principal: Principal) -> None:
        """Show out a caller whose token has expired or was revoked."""
        await self.readers.until_revoked(principal)
        await socket.close(UNAUTHORISED, "the token counts no more")

    async def _tell(self, socket: WebSocket, subscription: Subscription, others: set[asyncio.Task[None]]) -> bool:
        """Tell events until the caller or the engine ends it (``False``), or the caller wants them from elsewhere."""
        sending = asyncio.create_task(send_events(self.engine, socket, subscription))
        wish = asyncio.create_task(subscription.changed.wait())
        try:
            done, _ = await asyncio.wait({sending, wish, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {wish}:
                task.result()
            return done == {wish}
        finally:
            sending.cancel()
            wish.cancel()
            await asyncio.gather(sending, wish, return_exceptions=True)

    async def _hear(self, socket: WebSocket, subscription: Subscription) -> None:
        loop = asyncio.get_running_loop()
        began_s, heard = loop.time(), 0
        while True:
            message = _read(await _text(socket))
            if loop.time() - began_s >= 1:
                began_s, heard = loop.time(), 0
            heard += 1
            if heard > MESSAGES_PER_S:
                await socket.close(POLICY_VIOLATION, "too many messages")
                return
            answer = subscription.ask(message, self.engine.core.account, self.engine.core.journal.last_seq)
            await socket.send_text(orjson.dumps(answer).decode())

    def _may_knock(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether the handshake comes from this machine's own pages, or from a program with a token."""
        host = headers.get(b"host", b"").decode("ascii").lower()
        known = is_own(host, self.allowed_hosts)
        origin = headers.get(b"origin")
        ours = b"authorization" in headers if origin is None else origin.decode("ascii").lower() == f"http://{host}"
        cross = headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
        asked = scope["path"] in SOCKETS and not scope["query_string"]
        return asked and known and ours and not cross


async def _refuse(error: EngineError, send: Send) -> None:
    """Answer a handshake that is not accepted as a request is answered."""
    answer = problem(error, secrets.token_hex(8))
    await send({"type": "websocket.http.response.start", "status": answer.status_code, "headers": answer.pairs()})
    await send({"type": "websocket.http.response.body", "body": answer.body})


def _headers(scope: Scope) -> dict[bytes, bytes] | None:
    """Return the handshake's headers, each once; ``None`` where they are too many, too large or not plain."""
    raw: list[tuple[bytes, bytes]] = scope["headers"]
    if len(raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
        return None
    headers = {name.lower(): value for name, value in raw}
    plain = all(value.isascii() and value.decode("ascii").isprintable() for value in headers.values())
    return headers if plain and len(headers) == len(raw) else None


def _offered(headers: Mapping[bytes, bytes], subprotocols: list[str]) -> tuple[str, str | None]:
    """Return the token that came with the handshake, and the subprotocol to answer with."""
    for offered in subprotocols:
        if offered.startswith(f"{_BEARER}."):
            return offered.removeprefix(f"{_BEARER}."), _BEARER if _BEARER in subprotocols else offered
    if len(subprotocols) == 2 and subprotocols[0] == _BEARER:
        return subprotocols[1], _BEARER
    kind, _, token = headers.get(b"authorization", b"").decode("ascii").partition(" ")
    return (token.strip() if kind.lower() == _BEARER else ""), None


def _resumed(first: Mapping[str, Any], headers: Mapping[bytes, bytes], newest: int) -> int | None:
    """Return after which event the stream goes on: as the first message or ``Last-Event-ID`` says, else from now.

    ``None`` where that is no event of this journal: going on from elsewhere would leave out events unnoticed.
    """
    wish = first.get("after")
    told = str(headers.get(b"last-event-id", b"").decode("ascii") or newest if wish is None else wish)
    after = event_number(told)
    return after if after is not None and after <= newest else None


async def _text(socket: WebSocket) -> bytes:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    return (message.get("text") or "").encode("utf-8", "surrogatepass")


def _read(text: bytes) -> dict[str, Any] | None:
    try:
        return read_object(text)
    except EngineError:
        return None

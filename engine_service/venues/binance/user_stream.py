"""The private streams: spot over the WebSocket API, USD-M by listen key on its private base."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import structlog

from engine_service.venues.binance.outcomes import Failure
from engine_service.venues.binance.parse import ParseError, Payload, error_fields, mapping, text
from engine_service.venues.binance.session import BinanceSession, Call, usable
from engine_service.venues.binance.sign import Scalar, signed_params
from engine_service.venues.binance.socket import ReconnectingSocket, StreamRefused, dial
from engine_service.venues.binance.text_socket import TextSocket
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import StreamStatus

KEEP_ALIVE_S = 30 * 60.0
_ANSWER_S = 5.0
_EVENTS = "ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/ALGO_UPDATE/listenKeyExpired"
#: Names, side, type, sizes and prices of an executionReport.
_ORDER_FIELDS = ("s", "i", "c", "C", "S", "o", "f", "q", "Q", "p", "P")
_WITHOUT_TRIGGER = frozenset({"MARKET", "LIMIT", "LIMIT_MAKER"})
_LISTEN_KEY = "/fapi/v1/listenKey"
_log = structlog.get_logger(__name__)


async def ask(socket: TextSocket, method: str, params: dict[str, Scalar]) -> Any:
    """Send one WebSocket API request on a socket that nothing else uses yet, and return its result.

    Raises:
        StreamRefused: the venue said no.
        TimeoutError: no answer within 5 s.
    """
    socket.send_text(orjson.dumps({"id": method, "method": method, "params": params}))
    async with asyncio.timeout(_ANSWER_S):
        while True:
            answer = orjson.loads(await socket.message())
            if isinstance(answer, dict) and answer.get("id") == method:
                break
    if answer.get("status") != 200:
        code, message = error_fields(answer.get("error"))
        raise StreamRefused(f"{method}: {code} {message}")
    return answer.get("result")


class SpotUserStream:
    """Events of a spot account: a signed subscription, or a session logon where the key is Ed25519."""

    def __init__(self, session: BinanceSession) -> None:
        self._session = session
        self._socket = ReconnectingSocket("user", self._connect, select=without_overtaken)

    async def close(self) -> None:
        await self._socket.close()

    async def events(self) -> AsyncGenerator[Any, None]:
        """Yield ``StreamStatus`` and the raw events."""
        async with contextlib.aclosing(self._socket.messages()) as messages:
            async for message in messages:
                if isinstance(message, StreamStatus):
                    yield message
                    continue
                event = _event_of(message)
                if event is None:
                    continue
                if str(event.get("e")) in {"eventStreamTerminated", "serverShutdown"}:
                    await self._socket.reconnect()
                    continue
                yield event

    async def _connect(self) -> TextSocket:
        socket = await dial(self._session.hosts.ws_api)
        try:
            await self._subscribe(socket)
        except BaseException:
            await socket.close()
            raise
        return socket

    async def _subscribe(self, socket: TextSocket) -> None:
        signer = self._session.signer
        if signer is None:
            raise VenueUnavailable("VENUE_KEYS_MISSING", "this session has no keys")
        params = signed_params(signer, self._session.stamp({}))
        if signer.session_logon:
            await ask(socket, "session.logon", params)
            await ask(socket, "userDataStream.subscribe", {})
        else:
            await ask(socket, "userDataStream.subscribe.signature", params)


def without_overtaken(messages: list[Any]) -> list[Any]:
    """Leave out that an order was taken in where its first trade arrived with that news: the trade says it too.

    Both must tell of the same order in every word that names and sizes it; a contradiction is kept and told. Of an
    order with a stop price the same word also tells that it was triggered, which no trade says.
    """
    traded: dict[int, Payload] = {}
    kept = []
    for message in reversed(messages):
        event = _event_of(message)
        number = event.get("i") if event is not None and event.get("e") == "executionReport" else None
        if event is not None and isinstance(number, int):
            if event.get("x") == "TRADE":
                traded[number] = event
            elif event.get("x") == "NEW" == event.get("X") and _says_no_more(event, traded.get(number)):
                continue
        kept.append(message)
    kept.reverse()
    return kept


def _says_no_more(event: Payload, trade: Payload | None) -> bool:
    if trade is None or str(event.get("o")) not in _WITHOUT_TRIGGER:
        return False
    return all(event.get(name) == trade.get(name) for name in _ORDER_FIELDS)


def _event_of(message: object) -> Payload | None:
    event = message.get("event") if isinstance(message, dict) else None
    return event if isinstance(event, dict) else None


class FuturesUserStream:
    """Events of a USD-M account. The listen key is kept alive, and made anew when the venue lets it expire."""

    def __init__(self, session: BinanceSession, *, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._session = session
        self._keep_alive_s = keep_alive_s
        self._socket = ReconnectingSocket("user", self._connect)

    async def close(self) -> None:
        await self._socket.close()

    async def events(self) -> AsyncGenerator[Any, None]:
        """Yield ``StreamStatus`` and the raw events."""
        keeper = asyncio.create_task(self._keep_alive())
        try:
            async with contextlib.aclosing(self._socket.messages()) as messages:
                async for message in messages:
                    if not isinstance(message, dict):
                        yield message
                        continue
                    event = message.get("data", message)
                    if isinstance(event, dict) and event.get("e") == "listenKeyExpired":
                        await self._socket.reconnect()
                        continue
                    yield event
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _connect(self) -> TextSocket:
        body = usable(await self._listen_key("POST"))
        try:
            key = text(mapping(body), "listenKey")
        except ParseError as error:
            raise StreamRefused("the venue gave no listen key") from error
        return await dial(f"{self._session.hosts.private_stream}/ws?listenKey={key}&events={_EVENTS}")

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._keep_alive_s)
            answer = await self._listen_key("PUT")
            if isinstance(answer, Failure):
                # -1125: the key is gone. Anything else is tried again in time, the key lives for an hour.
                _log.warning("listen_key_not_extended", code=answer.code, venue_code=answer.venue_code)
                if answer.venue_code == -1125:
                    await self._socket.reconnect()

    async def _listen_key(self, method: str) -> Any | Failure:
        # Listen key requests carry the API key alone, no signature.
        return await self._session.request(Call(method, _LISTEN_KEY, 1), "")

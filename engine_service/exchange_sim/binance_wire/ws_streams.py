"""Paths of the stream connections.

| path | what |
|---|---|
| `/ws`, `/ws/<name>[/<name>...]` | spot market streams, raw |
| `/stream?streams=<name>/<name>` | spot market streams, wrapped in `{"stream", "data"}` |
| `/stream/ws`, `/stream/ws/<name>...` | as `/ws`: for ccxt, which knows spot by `/stream` in the address |
| `/public/ws...`, `/public/stream?...` | USD-M book data: depth, bookTicker, trade |
| `/market/ws...`, `/market/stream?...` | USD-M everything else: kline, aggTrade, tickers, markPrice |
| `/private/ws/<listenKey>`, `/private/ws?listenKey=<key>&events=<A>/<B>` | USD-M user stream, raw |
| `/private/stream?streams=<listenKey>` or `?listenKey=...` | USD-M user stream, wrapped |

`timeUnit=MICROSECOND` on spot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, WebSocket

from engine_service.exchange_sim.binance_wire.app_context import Wire
from engine_service.exchange_sim.binance_wire.ws_connection import StreamConnection
from engine_service.exchange_sim.binance_wire.ws_listen_keys import KeyEnd
from engine_service.exchange_sim.binance_wire.ws_market_hub import MarketHub
from engine_service.exchange_sim.binance_wire.ws_sessions import SessionRegistry
from engine_service.exchange_sim.binance_wire.ws_stream_names import Base
from engine_service.exchange_sim.binance_wire.ws_stream_session import (
    MarketSession,
    PrivateSession,
    StreamSession,
)
from engine_service.exchange_sim.binance_wire.ws_text import MICROSECOND, MILLISECOND, TimeUnit
from engine_service.exchange_sim.binance_wire.ws_user_hub import UserHub
from engine_service.exchange_sim.enums import Market

MESSAGES_PER_S = {Market.SPOT: 5, Market.FUTURES: 10}
_KEY_CHECK_S = 1.0

Connect = Callable[[WebSocket], Awaitable[None]]


def time_unit(websocket: WebSocket) -> TimeUnit | None:
    """The `timeUnit` of a connection's URL; None for one that does not exist."""
    asked = websocket.query_params.get("timeUnit", "MILLISECOND").upper()
    return {"MILLISECOND": MILLISECOND, "MICROSECOND": MICROSECOND}.get(asked)


def market_streams_router(wire: Wire, sessions: SessionRegistry) -> APIRouter:
    """Spot and USD-M market streams."""
    hub = MarketHub(wire.exchange)
    router = APIRouter()

    def endpoint(base: Base, combined: bool) -> Connect:
        async def connect(websocket: WebSocket) -> None:
            unit = time_unit(websocket) if base is Base.SPOT else MILLISECOND
            if unit is None:
                await websocket.close()
                return
            await websocket.accept()
            connection = StreamConnection(websocket, messages_per_s=MESSAGES_PER_S[base.market])
            session = MarketSession(wire.exchange, hub, connection, base, combined, unit)
            await _serve(session, sessions, _asked_names(websocket))

        return connect

    for base, prefix in ((Base.SPOT, ""), (Base.PUBLIC, "/public"), (Base.MARKET, "/market")):
        _add_paths(router, prefix, endpoint(base, False), endpoint(base, True))
    _add_raw_paths(router, "/stream", endpoint(Base.SPOT, False))
    return router


def user_streams_router(wire: Wire, sessions: SessionRegistry, hub: UserHub) -> APIRouter:
    """USD-M user streams by listen key."""
    router = APIRouter()
    private: set[PrivateSession] = set()

    def on_key_end(key: str, why: KeyEnd) -> None:
        for session in list(private):
            session.on_key_end(key, why)

    wire.listen_keys.on_end(on_key_end)

    def endpoint(combined: bool) -> Connect:
        async def connect(websocket: WebSocket) -> None:
            await websocket.accept()
            connection = StreamConnection(websocket, messages_per_s=MESSAGES_PER_S[Market.FUTURES])
            events = frozenset(filter(None, websocket.query_params.get("events", "").split("/")))
            session = PrivateSession(wire.exchange, hub, wire.listen_keys, connection, combined, events)
            private.add(session)
            checker = asyncio.create_task(_expire_keys(wire))
            try:
                await _serve(session, sessions, _asked_names(websocket))
            finally:
                checker.cancel()
                private.discard(session)

        return connect

    _add_paths(router, "/private", endpoint(False), endpoint(True))
    return router


async def _expire_keys(wire: Wire) -> None:
    """End keys on time, while anyone listens to one."""
    while True:
        await asyncio.sleep(_KEY_CHECK_S)
        wire.listen_keys.expire()


def _add_paths(router: APIRouter, prefix: str, raw: Connect, wrapped: Connect) -> None:
    _add_raw_paths(router, prefix, raw)
    router.add_api_websocket_route(f"{prefix}/stream", wrapped)


def _add_raw_paths(router: APIRouter, prefix: str, raw: Connect) -> None:
    router.add_api_websocket_route(f"{prefix}/ws", raw)
    router.add_api_websocket_route(f"{prefix}/ws/{{names:path}}", raw)


def _asked_names(websocket: WebSocket) -> list[str]:
    """The streams in the URL: in the path, in `streams`, or the `listenKey`."""
    query = websocket.query_params
    path = str(websocket.path_params.get("names", ""))
    names = [*path.split("/"), *query.get("streams", "").split("/"), query.get("listenKey", "")]
    return [name for name in names if name]


async def _serve(session: StreamSession, sessions: SessionRegistry, names: list[str]) -> None:
    sessions.open.add(session)
    try:
        session.subscribe(names)
        await session.connection.serve(session.on_text)
    finally:
        session.end()
        sessions.open.discard(session)

"""The WebSocket APIs: `/ws-api/v3` for spot and `/ws-fapi/v1` for USD-M, both with the REST routes as methods."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, WebSocket

from engine_service.exchange_sim.binance_wire.app_context import Route, Wire
from engine_service.exchange_sim.binance_wire.errors import LimitExceeded
from engine_service.exchange_sim.binance_wire.ws_api_methods import method_table
from engine_service.exchange_sim.binance_wire.ws_api_session import ApiSession
from engine_service.exchange_sim.binance_wire.ws_connection import StreamConnection
from engine_service.exchange_sim.binance_wire.ws_sessions import SessionRegistry
from engine_service.exchange_sim.binance_wire.ws_streams import Connect, time_unit
from engine_service.exchange_sim.binance_wire.ws_user_hub import UserHub
from engine_service.exchange_sim.enums import Market

PATHS = {Market.SPOT: "/ws-api/v3", Market.FUTURES: "/ws-fapi/v1"}
_CONNECTION_WEIGHT = 2


def ws_api_router(
    wire: Wire, routes: Iterable[Route], sessions: SessionRegistry, hubs: dict[Market, UserHub]
) -> APIRouter:
    """Both APIs.

    Args:
        routes: every REST route served; the methods are taken from them.
        hubs: the user streams of each market.
    """
    router = APIRouter()
    known = tuple(routes)
    for market, path in PATHS.items():
        router.add_api_websocket_route(path, _endpoint(wire, market, known, sessions, hubs[market]))
    return router


def _endpoint(
    wire: Wire, market: Market, routes: tuple[Route, ...], sessions: SessionRegistry, hub: UserHub
) -> Connect:
    methods = method_table(market, routes)

    async def connect(websocket: WebSocket) -> None:
        unit = time_unit(websocket)
        address = websocket.client.host if websocket.client else "unknown"
        if unit is None or not _admitted(wire, market, address):
            await websocket.close()
            return
        await websocket.accept()
        connection = StreamConnection(websocket)
        shows_limits = websocket.query_params.get("returnRateLimits", "true") != "false"
        session = ApiSession(wire, market, methods, hub, connection, address, unit, shows_limits)
        sessions.open.add(session)
        try:
            await connection.serve(session.on_text)
        finally:
            session.end()
            sessions.open.discard(session)

    return connect


def _admitted(wire: Wire, market: Market, address: str) -> bool:
    """A connection costs weight; an address over its limit is not let in."""
    try:
        wire.limits[market].use(address, _CONNECTION_WEIGHT)
    except LimitExceeded:
        return False
    return True

"""All WebSocket routes of the exchange, for the application to include.

streams = StreamRoutes(wire, ROUTES)
app.include_router(streams.router)
...
await streams.shut_down()        # before the server closes its sockets
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fastapi import APIRouter

from engine_service.exchange_sim.binance_wire.app_context import Route, Wire
from engine_service.exchange_sim.binance_wire.ws_api import ws_api_router
from engine_service.exchange_sim.binance_wire.ws_sessions import SessionRegistry
from engine_service.exchange_sim.binance_wire.ws_streams import market_streams_router, user_streams_router
from engine_service.exchange_sim.binance_wire.ws_user_hub import UserHub
from engine_service.exchange_sim.enums import Market

_FAREWELL_S = 0.2


class StreamRoutes:
    """Market streams, user streams and WebSocket APIs over one exchange.

    Args:
        wire: the exchange with its doorkeepers.
        routes: the REST routes, which the WebSocket APIs serve as methods.
    """

    def __init__(self, wire: Wire, routes: Iterable[Route]) -> None:
        self._sessions = SessionRegistry.of(wire.exchange.faults)
        hubs = {market: UserHub(wire.exchange, market) for market in Market}
        self.router = APIRouter()
        self.router.include_router(ws_api_router(wire, routes, self._sessions, hubs))
        self.router.include_router(user_streams_router(wire, self._sessions, hubs[Market.FUTURES]))
        self.router.include_router(market_streams_router(wire, self._sessions))

    async def shut_down(self) -> None:
        """Announce the end on every connection and give the clients a moment to take it in."""
        if self._sessions.open:
            self._sessions.shut_down()
            await asyncio.sleep(_FAREWELL_S)

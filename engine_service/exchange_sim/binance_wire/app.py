"""The exchange as one ASGI application: Binance's REST paths, its WebSockets and the `/_sim` routes on one port.

REST requests never enter the framework: `ExchangeApp` hands them to the `Gateway`, everything else is FastAPI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from engine_service.exchange_sim.binance_wire import (
    algo_orders,
    futures_account,
    futures_market,
    futures_orders,
    futures_settings,
    order_lists,
    spot_account,
    spot_market,
    spot_orders,
    spot_queries,
    spot_wallet,
    spot_windows,
)
from engine_service.exchange_sim.binance_wire.app_context import Route, Wire
from engine_service.exchange_sim.binance_wire.app_gateway import Gateway, Receive, Scope, Send
from engine_service.exchange_sim.binance_wire.sim_admin import make_admin_router
from engine_service.exchange_sim.binance_wire.weights import Limits
from engine_service.exchange_sim.binance_wire.ws_routes import StreamRoutes
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.exchange import Exchange

_REST_PREFIXES = ("/api/", "/fapi/", "/sapi/", "/dapi/", "/eapi/", "/papi/", "/futures/", "/wapi/")
ROUTES: tuple[Route, ...] = (
    *spot_market.ROUTES,
    *spot_windows.ROUTES,
    *spot_orders.ROUTES,
    *order_lists.ROUTES,
    *spot_queries.ROUTES,
    *spot_account.ROUTES,
    *spot_wallet.ROUTES,
    *futures_market.ROUTES,
    *futures_orders.ROUTES,
    *futures_account.ROUTES,
    *futures_settings.ROUTES,
    *algo_orders.ROUTES,
)


class ExchangeApp(FastAPI):
    """FastAPI with a faster door for the venue's REST paths.

    Whoever serves it awaits `streams.shut_down()` before the server closes its sockets.
    """

    def __init__(self, wire: Wire, **options: Any) -> None:
        super().__init__(**options)
        self.wire = wire
        self.streams = StreamRoutes(wire, ROUTES)
        self.include_router(self.streams.router)
        self.include_router(make_admin_router(wire.exchange))
        self._gateway = Gateway(wire, ROUTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_REST_PREFIXES):
            await self._gateway(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def create_app(exchange: Exchange, limits: Mapping[Market, Limits] | None = None) -> ExchangeApp:
    """The whole exchange on one port.

    Args:
        exchange: the market and its ledgers; whoever serves the app also calls its `advance_to`.
        limits: request and order limits where they differ from the venue's own.
    """
    wire = Wire(exchange, limits)
    return ExchangeApp(wire, title="Simulated exchange", docs_url=None, redoc_url=None, openapi_url=None)

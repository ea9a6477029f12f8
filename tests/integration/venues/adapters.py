"""Venues under test, made the way the engine makes them."""

from __future__ import annotations

from pathlib import Path

from engine_service.domain.ids import Market
from engine_service.venues.binance.futures import BinanceFutures
from engine_service.venues.binance.hosts import hosts_for
from engine_service.venues.binance.session import BinanceSession
from engine_service.venues.binance.sign import signer_for
from engine_service.venues.binance.spot import BinanceSpot
from engine_service.venues.binance.ws_api import OrderSocket
from engine_service.venues.rate_limit import RateBudget
from tests.integration.simulated_exchange import API_KEY, API_SECRET


def session(
    market: Market, url: str, home: Path, *, key: str = API_KEY, secret: str = API_SECRET, socket: bool = False
) -> BinanceSession:
    """Return a session with the exchange at ``url``."""
    hosts = hosts_for(market, url=url)
    return BinanceSession(
        market,
        hosts,
        RateBudget.for_host(home, hosts.budget_key),
        signer=signer_for(key, secret) if key else None,
        order_socket=OrderSocket(hosts.ws_api, market) if socket else None,
    )


def spot_venue(url: str, home: Path, *, secret: str = API_SECRET, socket: bool = False) -> BinanceSpot:
    return BinanceSpot(session(Market.SPOT, url, home, secret=secret, socket=socket))


def futures_venue(url: str, home: Path) -> BinanceFutures:
    return BinanceFutures(session(Market.FUTURES, url, home))

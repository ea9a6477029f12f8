"""Third-party clients as their users make them, with nothing changed but the addresses.

ccxt takes its addresses from `urls`, python-binance from class constants that a subclass may override. ccxt knows a
spot stream by `/stream` in its address (`wss://stream.binance.com`), which loopback lacks: the exchange serves spot
under `/stream/ws` as well. Without it a ccxt that has loaded both markets takes spot for USD-M.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro
from binance import AsyncClient, BinanceSocketManager

from tests.integration.simulated_exchange import SimulatedExchange


def ccxt_urls(exchange: SimulatedExchange) -> dict[str, Any]:
    """Every address of the venue that ccxt may use here."""
    rest, sockets = exchange.url, exchange.ws_url
    api: dict[str, Any] = dict.fromkeys(("public", "private"), f"{rest}/api/v3")
    api |= dict.fromkeys(("fapiPublic", "fapiPrivate"), f"{rest}/fapi/v1")
    api |= {f"fapi{side}V{number}": f"{rest}/fapi/v{number}" for side in ("Public", "Private") for number in (2, 3)}
    api |= {f"dapi{side}": f"{rest}/dapi/v1" for side in ("Public", "Private")}
    api |= {"sapi": f"{rest}/sapi/v1", "sapiV2": f"{rest}/sapi/v2", "sapiV3": f"{rest}/sapi/v3"}
    api["ws"] = {
        "spot": f"{sockets}/stream/ws",
        "ws-api": {"spot": f"{sockets}/ws-api/v3"},
    }
    # USD-M is `future` to ccxt up to 4.5.64, which Python 3.11 gets, and `linear` to the later ones of newer Pythons.
    # The client itself puts /public, /market or /private into the address of the streams.
    for name in ("future", "linear"):
        api["ws"][name] = f"{sockets}/ws"
        api["ws"]["ws-api"][name] = f"{sockets}/ws-fapi/v1"
    return api


@asynccontextmanager
async def ccxt_client(exchange: SimulatedExchange, futures: bool = False, **options: object) -> AsyncIterator[Any]:
    """ccxt.pro for spot (which loads every market) or for USD-M."""
    make = ccxt.pro.binanceusdm if futures else ccxt.pro.binance
    client = make({"apiKey": exchange.api_key, "secret": exchange.api_secret, "options": options})
    client.urls["api"] = {**client.urls["api"], **ccxt_urls(exchange)}
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


def python_binance_class(exchange: SimulatedExchange) -> type[AsyncClient]:
    """`AsyncClient` with the exchange's addresses."""
    return type(
        "LocalClient",
        (AsyncClient,),
        {
            "API_URL": f"{exchange.url}/api",
            "MARGIN_API_URL": f"{exchange.url}/sapi",
            "FUTURES_URL": f"{exchange.url}/fapi",
            "WS_API_URL": f"{exchange.ws_url}/ws-api/v3",
            "WS_FUTURES_URL": f"{exchange.ws_url}/ws-fapi/v1",
        },
    )


def python_binance_sockets(exchange: SimulatedExchange) -> type[BinanceSocketManager]:
    """`BinanceSocketManager` with the exchange's addresses."""
    addresses = {"STREAM_URL": f"{exchange.ws_url}/", "FSTREAM_URL": f"{exchange.ws_url}/"}
    return type("LocalSockets", (BinanceSocketManager,), addresses)


@asynccontextmanager
async def python_binance_client(exchange: SimulatedExchange, **arguments: Any) -> AsyncIterator[AsyncClient]:
    """python-binance's asynchronous client."""
    keys = {"api_key": exchange.api_key, "api_secret": exchange.api_secret}
    client = await python_binance_class(exchange).create(**(keys | arguments))
    try:
        yield client
    finally:
        await leave(exchange, client.close_connection())


@asynccontextmanager
async def opened(exchange: SimulatedExchange, socket: Any) -> AsyncIterator[Any]:
    """A socket of python-binance, connected."""
    yield await socket.__aenter__()
    await leave(exchange, socket.__aexit__(None, None, None))


async def leave(exchange: SimulatedExchange, closing: Coroutine[Any, Any, None]) -> None:
    """Close a client that waits for one more frame, up to ten seconds, by ending its connections from here."""
    task = asyncio.create_task(closing)
    await asyncio.sleep(0.05)
    exchange.faults("disconnect")
    await task

"""ccxt, unchanged but for its addresses, trades and streams USD-M futures on the exchange."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.exchange_clients.clients import ccxt_client
from tests.integration.exchange_clients.test_ccxt_spot import far_price, until
from tests.integration.simulated_exchange import SimulatedExchange, only

pytestmark = pytest.mark.anyio
SYMBOL = "BTC/USDT:USDT"


async def test_a_position_is_opened_queried_and_closed(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange, futures=True) as client:
        bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
        queried = await client.fetch_order(bought["id"], SYMBOL)
        [position] = await client.fetch_positions([SYMBOL])
        assert (queried["status"], position["side"], position["contracts"]) == ("closed", "long", 0.01)
        sold = await client.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
        [truth] = only(exchange.ledger()["orders"], order_id=int(sold["id"]), market="futures")
        assert truth["status"] == "FILLED"
        assert [row for row in await client.fetch_positions([SYMBOL]) if row["contracts"]] == []


async def test_a_resting_order_is_listed_and_cancelled(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange, futures=True) as client:
        order = await client.create_order(SYMBOL, "limit", "buy", 0.01, await resting_price(client))
        assert order["id"] in [row["id"] for row in await client.fetch_open_orders(SYMBOL)]
        assert (await client.cancel_order(order["id"], SYMBOL))["status"] == "canceled"


async def resting_price(client: object) -> float:
    """A price at which a buy order rests."""
    bids_asks = await client.fetch_bids_asks([SYMBOL])  # type: ignore[attr-defined]  # ccxt has no types
    return round(far_price(bids_asks[SYMBOL]), 1)


async def test_each_stream_arrives_on_its_own_base(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange, futures=True) as client, asyncio.timeout(30):
        ticker, trades, bars, book, mark, quotes = await asyncio.gather(
            client.watch_ticker(SYMBOL),
            client.watch_trades(SYMBOL),
            client.watch_ohlcv(SYMBOL, "1m"),
            client.watch_order_book(SYMBOL),
            client.watch_mark_price(SYMBOL),
            client.watch_bids_asks([SYMBOL]),
        )
        assert ticker["last"] > 0
        assert trades[0]["symbol"] == SYMBOL
        assert len(bars[-1]) == 6
        assert book["bids"][0][0] < book["asks"][0][0]
        assert mark["markPrice"] > 0
        assert quotes[SYMBOL]["bid"] < quotes[SYMBOL]["ask"]
        bases = {url.removeprefix(exchange.ws_url).split("/")[1] for url in client.clients}
        assert bases == {"public", "market"}


async def test_orders_and_positions_arrive_on_the_user_stream(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange, futures=True) as client:
        orders = asyncio.create_task(until(client.watch_orders, lambda rows: rows[-1]["status"] == "closed"))
        positions = asyncio.create_task(
            until(lambda: client.watch_positions([SYMBOL]), lambda rows: rows and rows[-1]["contracts"] == 0.02)
        )
        await asyncio.sleep(1)  # the subscription must stand before the order
        bought = await client.create_order(SYMBOL, "market", "buy", 0.02)
        assert (await orders)[-1]["id"] == bought["id"]
        assert (await positions)[-1]["side"] == "long"
        assert any("/private/ws?listenKey=" in url for url in client.clients)
        await client.create_order(SYMBOL, "market", "sell", 0.02, None, {"reduceOnly": True})


async def test_orders_are_placed_queried_and_cancelled_over_the_websocket_api(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange, futures=True) as client:
        order = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, await resting_price(client))
        assert (await client.fetch_order_ws(order["id"], SYMBOL))["status"] == "open"
        assert (await client.cancel_order_ws(order["id"], SYMBOL))["status"] == "canceled"

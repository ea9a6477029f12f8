"""ccxt, unchanged but for its addresses, trades and streams on the exchange's spot market."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.exchange_clients.clients import ccxt_client
from tests.integration.simulated_exchange import SimulatedExchange, only

pytestmark = pytest.mark.anyio
SYMBOL = "BTC/USDT"


async def until(watch: Any, found: Any, timeout_s: float = 15) -> Any:
    """Await `watch()` until an answer satisfies `found`."""
    async with asyncio.timeout(timeout_s):
        while True:
            answer = await watch()
            if found(answer):
                return answer


def far_price(ticker: dict[str, Any]) -> float:
    """A price at which a buy order rests."""
    return float(round(ticker["bid"] * 0.8, 2))


async def test_markets_carry_the_venues_filters(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client:
        assert {"BTC/USDT", "ETH/USDT", "BNB/USDT", "SOL/USDT", "XRP/USDT", "DOGE/USDT", "ETH/BTC"} <= set(
            client.symbols
        )
        market = client.market(SYMBOL)
        assert market["precision"]["price"] == 0.01
        assert market["limits"]["cost"]["min"] > 0


async def test_a_market_order_fills_and_is_found_by_every_query(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client:
        order = await client.create_order(SYMBOL, "market", "buy", 0.01)
        assert order["status"] == "closed"
        queried = await client.fetch_order(order["id"], SYMBOL)
        trades = await client.fetch_my_trades(SYMBOL)
        mine = [trade for trade in trades if trade["order"] == order["id"]]
        assert queried["filled"] == 0.01
        assert sum(Decimal(str(trade["amount"])) for trade in mine) == Decimal("0.01")
        [truth] = only(exchange.ledger()["orders"], order_id=int(order["id"]), market="spot")
        assert (truth["status"], Decimal(truth["executed_quantity"])) == ("FILLED", Decimal("0.01"))


async def test_a_resting_order_is_listed_and_cancelled(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client:
        price = far_price(await client.fetch_ticker(SYMBOL))
        order = await client.create_order(SYMBOL, "limit", "buy", 0.01, price)
        assert order["id"] in [row["id"] for row in await client.fetch_open_orders(SYMBOL)]
        cancelled = await client.cancel_order(order["id"], SYMBOL)
        assert cancelled["status"] == "canceled"
        assert order["id"] not in [row["id"] for row in await client.fetch_open_orders(SYMBOL)]


async def test_tickers_trades_bars_and_books_are_streamed(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client, asyncio.timeout(30):
        ticker, trades, bars, book, quotes = await asyncio.gather(
            client.watch_ticker(SYMBOL),
            client.watch_trades(SYMBOL),
            client.watch_ohlcv(SYMBOL, "1s"),
            client.watch_order_book(SYMBOL),
            client.watch_bids_asks([SYMBOL]),
        )
        assert ticker["last"] > 0
        assert trades[0]["symbol"] == SYMBOL
        assert len(bars[-1]) == 6
        assert book["bids"][0][0] < book["asks"][0][0]
        assert quotes[SYMBOL]["bid"] < quotes[SYMBOL]["ask"]


async def test_the_streamed_book_stays_equal_to_the_snapshot(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client, asyncio.timeout(30):
        for _ in range(5):
            book = await client.watch_order_book(SYMBOL)
        assert book["nonce"] is not None
        assert [price for price, _ in book["bids"]] == sorted((p for p, _ in book["bids"]), reverse=True)
        assert book["bids"][0][0] < book["asks"][0][0]


async def test_orders_fills_and_balances_arrive_on_the_user_stream(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client:
        orders = asyncio.create_task(until(client.watch_orders, lambda rows: rows[-1]["status"] == "closed"))
        trades = asyncio.create_task(until(client.watch_my_trades, bool))
        before = (await client.fetch_balance())["BTC"]["total"]
        balance = asyncio.create_task(until(client.watch_balance, lambda row: row["BTC"]["total"] != before))
        await asyncio.sleep(0.5)  # the subscription must stand before the order
        placed = await client.create_order(SYMBOL, "market", "buy", 0.01)
        reported = (await orders)[-1]
        assert reported["id"] == placed["id"]
        assert (await trades)[-1]["order"] == placed["id"]
        assert (await balance)["BTC"]["total"] == pytest.approx(before + 0.01, abs=1e-4)


async def test_a_cancel_arrives_on_the_user_stream(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client:
        price = far_price(await client.fetch_ticker(SYMBOL))
        seen = asyncio.create_task(until(client.watch_orders, lambda rows: rows[-1]["status"] == "canceled"))
        await asyncio.sleep(0.5)
        order = await client.create_order(SYMBOL, "limit", "buy", 0.01, price)
        await client.cancel_order(order["id"], SYMBOL)
        assert (await seen)[-1]["id"] == order["id"]


async def test_orders_are_placed_queried_and_cancelled_over_the_websocket_api(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client:
        price = far_price(await client.fetch_ticker(SYMBOL))
        order = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, price)
        assert (await client.fetch_order_ws(order["id"], SYMBOL))["status"] == "open"
        assert order["id"] in [row["id"] for row in await client.fetch_open_orders_ws(SYMBOL)]
        assert (await client.cancel_order_ws(order["id"], SYMBOL))["status"] == "canceled"
        bought = await client.create_order_ws(SYMBOL, "market", "buy", 0.01)
        assert bought["status"] == "closed"
        assert bought["id"] in [trade["order"] for trade in await client.fetch_my_trades_ws(SYMBOL)]

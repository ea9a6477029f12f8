"""python-binance, unchanged but for its addresses, trades and streams on both markets of the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException

from tests.integration.exchange_clients.clients import opened, python_binance_client, python_binance_sockets
from tests.integration.simulated_exchange import SimulatedExchange, only

pytestmark = pytest.mark.anyio
SYMBOL = "ETHUSDT"


async def receive(socket: Any, found: Callable[[dict[str, Any]], bool], timeout_s: float = 15) -> dict[str, Any]:
    """Read a stream until a message satisfies `found`."""
    async with asyncio.timeout(timeout_s):
        while True:
            message: dict[str, Any] = await socket.recv()
            if found(message):
                return message


async def far_price(client: Any, futures: bool = False) -> str:
    """A price at which a buy order rests."""
    quote = await (client.futures_orderbook_ticker if futures else client.get_orderbook_ticker)(symbol=SYMBOL)
    return str((Decimal(quote["bidPrice"]) * Decimal("0.8")).quantize(Decimal("0.1")))


async def test_spot_orders_are_placed_queried_and_cancelled(exchange: SimulatedExchange) -> None:
    async with python_binance_client(exchange) as client:
        bought = await client.create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.1")
        assert bought["status"] == "FILLED"
        assert sum(Decimal(fill["qty"]) for fill in bought["fills"]) == Decimal("0.1")
        price = await far_price(client)
        resting = await client.order_limit_buy(symbol=SYMBOL, quantity="0.1", price=price)
        queried = await client.get_order(symbol=SYMBOL, orderId=resting["orderId"])
        assert queried["status"] == "NEW"
        assert resting["orderId"] in [row["orderId"] for row in await client.get_open_orders(symbol=SYMBOL)]
        cancelled = await client.cancel_order(symbol=SYMBOL, orderId=resting["orderId"])
        assert cancelled["status"] == "CANCELED"
        [truth] = only(exchange.ledger()["orders"], order_id=bought["orderId"], market="spot", symbol=SYMBOL)
        assert Decimal(truth["executed_quantity"]) == Decimal("0.1")


async def test_the_venues_refusals_reach_the_client_with_code_and_message(exchange: SimulatedExchange) -> None:
    async with python_binance_client(exchange) as client:
        with pytest.raises(BinanceAPIException) as refused:
            await client.create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="1000")
        assert refused.value.code == -2010
        with pytest.raises(BinanceAPIException) as gone:
            await client.stream_get_listen_key()
        assert gone.value.status_code in (404, 410)


async def test_spot_market_streams_arrive_raw_and_combined(exchange: SimulatedExchange) -> None:
    async with python_binance_client(exchange) as client:
        sockets = python_binance_sockets(exchange)(client)
        async with opened(exchange, sockets.kline_socket(SYMBOL, interval="1s")) as socket:
            closed = await receive(socket, lambda message: message["k"]["x"])
            assert closed["k"]["T"] - closed["k"]["t"] == 999
        async with opened(exchange, sockets.trade_socket(SYMBOL)) as socket:
            assert (await receive(socket, lambda message: True))["e"] == "trade"
        async with opened(exchange, sockets.multiplex_socket(["ethusdt@bookTicker", "btcusdt@aggTrade"])) as socket:
            await receive(socket, lambda message: message["stream"] == "ethusdt@bookTicker")
            await receive(socket, lambda message: message["stream"] == "btcusdt@aggTrade")


async def test_the_spot_user_stream_reports_orders_and_balances(exchange: SimulatedExchange) -> None:
    async with (
        python_binance_client(exchange) as client,
        opened(exchange, python_binance_sockets(exchange)(client).user_socket()) as socket,
    ):
        bought = await client.create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.1")
        report = await receive(socket, lambda message: message.get("X") == "FILLED")
        assert (report["e"], report["i"], report["x"]) == ("executionReport", bought["orderId"], "TRADE")
        position = await receive(socket, lambda message: message["e"] == "outboundAccountPosition")
        assert {"ETH", "USDT"} <= {row["a"] for row in position["B"]}


async def test_spot_orders_go_over_the_websocket_api(exchange: SimulatedExchange) -> None:
    async with python_binance_client(exchange) as client:
        price = await far_price(client)
        placed = await client.ws_order_limit_buy(symbol=SYMBOL, quantity="0.1", price=price)
        queried = await client.ws_get_order(symbol=SYMBOL, orderId=placed["orderId"])
        cancelled = await client.ws_cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        assert (queried["status"], cancelled["status"]) == ("NEW", "CANCELED")
        account = await client.ws_get_account()
        assert {"USDT"} <= {row["asset"] for row in account["balances"]}


async def test_usdm_orders_are_placed_queried_and_cancelled(exchange: SimulatedExchange) -> None:
    async with python_binance_client(exchange) as client:
        bought = await client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.1")
        queried = await client.futures_get_order(symbol=SYMBOL, orderId=bought["orderId"])
        assert (queried["status"], queried["executedQty"]) == ("FILLED", "0.1")
        price = await far_price(client, futures=True)
        resting = await client.futures_create_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.1", price=price
        )
        assert [row["orderId"] for row in await client.futures_get_open_orders(symbol=SYMBOL)] == [resting["orderId"]]
        cancelled = await client.futures_cancel_order(symbol=SYMBOL, orderId=resting["orderId"])
        assert cancelled["status"] == "CANCELED"
        positions = await client.futures_position_information(symbol=SYMBOL)
        assert Decimal(positions[0]["positionAmt"]) == Decimal("0.1")
        await client.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.1")


async def test_usdm_streams_report_market_orders_and_account(exchange: SimulatedExchange) -> None:
    async with python_binance_client(exchange) as client:
        sockets = python_binance_sockets(exchange)(client)
        async with opened(exchange, sockets.symbol_mark_price_socket(SYMBOL)) as socket:
            mark = await receive(socket, lambda message: True)
            assert mark["data"]["e"] == "markPriceUpdate"
        async with opened(exchange, sockets.futures_user_socket()) as socket:
            bought = await client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.2")
            filled = await receive(
                socket, lambda message: message["e"] == "ORDER_TRADE_UPDATE" and message["o"]["X"] == "FILLED"
            )
            assert filled["o"]["i"] == bought["orderId"]
        async with opened(exchange, sockets.futures_user_socket()) as socket:
            await client.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.2")
            update = await receive(socket, lambda message: message["e"] == "ACCOUNT_UPDATE")
            assert update["a"]["m"] == "ORDER"


async def test_usdm_orders_go_over_the_websocket_api(exchange: SimulatedExchange) -> None:
    async with python_binance_client(exchange) as client:
        price = await far_price(client, futures=True)
        placed = await client.ws_futures_create_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.1", price=price
        )
        queried = await client.ws_futures_get_order(symbol=SYMBOL, orderId=placed["orderId"])
        cancelled = await client.ws_futures_cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        assert (queried["status"], cancelled["status"]) == ("NEW", "CANCELED")

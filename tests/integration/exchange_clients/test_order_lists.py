"""OCO order lists over the wire, by clients that know Binance and not us."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException

from tests.integration.exchange_clients.clients import ccxt_client, python_binance_client
from tests.integration.simulated_exchange import SimulatedExchange, only

pytestmark = pytest.mark.anyio
SYMBOL = "BTCUSDT"


async def prices(client: Any) -> tuple[str, str]:
    """Two prices, one per cent above and below the market."""
    quote = await client.get_orderbook_ticker(symbol=SYMBOL)
    bid = Decimal(quote["bidPrice"])
    return f"{bid * Decimal('1.01'):.2f}", f"{bid * Decimal('0.99'):.2f}"


def oco(above: str, below: str, **fields: str) -> dict[str, str]:
    return {
        "symbol": SYMBOL,
        "side": "SELL",
        "quantity": "0.01",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": above,
        "belowType": "STOP_LOSS",
        "belowStopPrice": below,
        **fields,
    }


async def test_python_binance_places_queries_and_cancels_a_list(exchange: SimulatedExchange) -> None:
    async with python_binance_client(exchange) as client:
        above, below = await prices(client)
        placed = await client.create_oco_order(**oco(above, below, listClientOrderId="list-one"))
        assert (placed["contingencyType"], placed["listOrderStatus"]) == ("OCO", "EXECUTING")
        assert {report["type"] for report in placed["orderReports"]} == {"LIMIT_MAKER", "STOP_LOSS"}
        assert {report["orderListId"] for report in placed["orderReports"]} == {placed["orderListId"]}
        queried = await client.v3_get_order_list(orderListId=placed["orderListId"])
        assert queried["listClientOrderId"] == "list-one"
        assert [row["orderListId"] for row in await client.v3_get_open_order_list()] == [placed["orderListId"]]
        one = placed["orders"][0]
        cancelled = await client.cancel_order(symbol=SYMBOL, orderId=one["orderId"])
        assert cancelled["listOrderStatus"] == "ALL_DONE"
        assert {report["status"] for report in cancelled["orderReports"]} == {"CANCELED"}
        assert await client.v3_get_open_order_list() == []
        truth = [only(exchange.ledger()["orders"], order_id=row["orderId"], market="spot") for row in placed["orders"]]
        assert [rows[0]["status"] for rows in truth] == ["CANCELED", "CANCELED"]


async def test_ccxt_places_a_list_by_its_raw_call_and_cancels_it_whole(exchange: SimulatedExchange) -> None:
    async with ccxt_client(exchange) as client:
        ticker = await client.fetch_ticker("BTC/USDT")
        bid = Decimal(str(ticker["bid"]))
        ticket = oco(f"{bid * Decimal('1.01'):.2f}", f"{bid * Decimal('0.99'):.2f}", listClientOrderId="list-two")
        placed = await client.private_post_orderlist_oco(ticket)
        assert len(placed["orderReports"]) == 2
        resting = await client.fetch_open_orders("BTC/USDT")
        assert {order["id"] for order in resting} == {str(row["orderId"]) for row in placed["orders"]}
        gone = await client.private_delete_orderlist({"symbol": SYMBOL, "listClientOrderId": "list-two"})
        assert gone["listStatusType"] == "ALL_DONE"
        listed = await client.private_get_allorderlist({})
        assert placed["orderListId"] in [row["orderListId"] for row in listed]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"aboveType": "STOP_LOSS"}, -1106),
        ({"aboveType": "LIMIT"}, -1102),
        ({"belowType": "NONSENSE"}, -1116),
        ({"belowStopPrice": "900000"}, -2010),
        ({"abovePrice": ""}, -1102),
        ({"quantity": "0"}, -1013),
        ({"belowTrailingDelta": "100"}, -1013),
        ({"nonsense": "1"}, -1104),
    ],
)
async def test_a_list_that_is_none_is_refused(exchange: SimulatedExchange, change: dict[str, str], code: int) -> None:
    async with python_binance_client(exchange) as client:
        above, below = await prices(client)
        before = len(exchange.ledger()["orders"])
        with pytest.raises(BinanceAPIException) as refused:
            await client._post("orderList/oco", True, data={**oco(above, below), **change}, version="v3")
        assert refused.value.code == code, refused.value.message
        assert len(exchange.ledger()["orders"]) == before

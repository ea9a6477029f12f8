"""Spot orders on the wire: place, query, cancel."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.integration.exchange_rest.signed_client import SignedClient, illegal, mandatory, now_ms, refused
from tests.integration.exchange_rest.spot_orders import far_below, limit_buy, market

ORDER = "/api/v3/order"
NEITHER_QUANTITY = "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
ACK_FIELDS = {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
RESULT_FIELDS = ACK_FIELDS | {
    "price",
    "origQty",
    "executedQty",
    "origQuoteOrderQty",
    "cummulativeQuoteQty",
    "status",
    "timeInForce",
    "type",
    "side",
    "workingTime",
    "selfTradePreventionMode",
}


class TestPlacing:
    def test_a_market_order_answers_in_full_with_its_fills(self, client: SignedClient) -> None:
        placed = client.order(**market(quantity="0.5"))
        assert set(placed) == RESULT_FIELDS | {"fills"}
        assert placed["status"] == "FILLED"
        fills = placed["fills"]
        assert set(fills[0]) == {"price", "qty", "commission", "commissionAsset", "tradeId"}
        assert sum(Decimal(fill["qty"]) for fill in fills) == Decimal("0.5")
        worth = sum(Decimal(fill["qty"]) * Decimal(fill["price"]) for fill in fills)
        assert Decimal(placed["cummulativeQuoteQty"]) == worth
        assert {fill["commissionAsset"] for fill in fills} == {"BTC"}

    @pytest.mark.parametrize(
        ("kind", "fields"), [("ACK", ACK_FIELDS), ("RESULT", RESULT_FIELDS), ("FULL", RESULT_FIELDS | {"fills"})]
    )
    def test_the_answer_is_as_long_as_asked_for(self, client: SignedClient, kind: str, fields: set[str]) -> None:
        assert set(client.order(**market(newOrderRespType=kind))) == fields

    def test_a_limit_order_answers_in_full_and_rests(self, client: SignedClient) -> None:
        placed = limit_buy(client)
        assert (placed["status"], placed["fills"]) == ("NEW", [])
        assert placed["workingTime"] == placed["transactTime"]

    def test_stops_and_makers_answer_with_an_acknowledgement(self, client: SignedClient) -> None:
        price = far_below(client)
        maker = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.001", "price": price}
        assert set(client.order(**maker)) == ACK_FIELDS
        stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "0.001", "stopPrice": price}
        placed = client.order(**stop, newOrderRespType="RESULT")
        assert placed["workingTime"] == -1
        assert Decimal(placed["stopPrice"]) == Decimal(price)

    def test_a_quote_quantity_is_spent(self, client: SignedClient) -> None:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "250"}
        placed = client.order(**order)
        assert Decimal(placed["origQuoteOrderQty"]) == 250
        assert 248 < Decimal(placed["cummulativeQuoteQty"]) <= 250

    def test_the_order_count_is_in_the_headers(self, client: SignedClient) -> None:
        answer = client.signed("POST", ORDER, **market(newOrderRespType="ACK"))
        assert int(answer.headers["x-mbx-order-count-10s"]) >= 0
        assert int(answer.headers["x-mbx-order-count-1d"]) >= 0
        rows = client.signed("GET", "/api/v3/rateLimit/order").json()
        assert [(row["interval"], row["intervalNum"], row["limit"]) for row in rows] == [
            ("SECOND", 10, 100),
            ("DAY", 1, 200000),
        ]

    def test_labels_are_kept(self, client: SignedClient) -> None:
        placed = limit_buy(client, strategyId=7, strategyType=1000001)
        seen = client.signed("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"]).json()
        assert (seen["strategyId"], seen["strategyType"]) == (7, 1000001)

    def test_a_client_id_is_unique_among_open_orders_only(self, client: SignedClient) -> None:
        limit_buy(client, newClientOrderId="twice")
        again = client.signed("POST", ORDER, **market(newClientOrderId="twice"))
        refused(again, 400, -2010, "Duplicate order sent.")
        client.signed("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="twice")
        assert client.order(**market(newClientOrderId="twice"))["status"] == "FILLED"

    def test_a_test_order_changes_nothing(self, client: SignedClient) -> None:
        before = client.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").json()
        assert client.signed("POST", f"{ORDER}/test", **market()).json() == {}
        rates = client.signed("POST", f"{ORDER}/test", **market(computeCommissionRates="true")).json()
        assert rates["standardCommissionForOrder"]["taker"] == "0.00100000"
        assert client.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").json() == before


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "code", "message"),
        [
            ({"side": "HOLD"}, -1117, "Invalid side."),
            ({"type": "GUESS"}, -1116, "Invalid orderType."),
            ({"type": "STOP_MARKET"}, -1116, "Invalid orderType."),
            ({"symbol": "NOPEUSDT"}, -1121, "Invalid symbol."),
            ({"quantity": None}, -1102, NEITHER_QUANTITY),
            ({"quantity": "-1"}, -1100, illegal("quantity", "^([0-9]{1,20})(\\.[0-9]{1,20})?$")),
            ({"quantity": "1e-3"}, -1100, None),
            ({"quantity": "0"}, -1013, "Invalid quantity."),
            ({"quantity": "0.001000001"}, -1111, "Parameter 'quantity' has too much precision."),
            ({"quantity": "0.000015"}, -1013, "Filter failure: LOT_SIZE"),
            ({"quantity": "500"}, -1013, "Filter failure: MARKET_LOT_SIZE"),
            ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
            ({"price": "1"}, -1106, "Parameter 'price' sent when not required."),
            ({"timeInForce": "GTC"}, -1106, "Parameter 'timeInForce' sent when not required."),
            ({"stopPrice": "1"}, -1106, "Parameter 'stopPrice' sent when not required."),
            ({"quoteOrderQty": "100"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
            ({"newClientOrderId": "no spaces"}, -1100, illegal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$")),
            ({"newClientOrderId": "x" * 37}, -1100, None),
            ({"newOrderRespType": "LONG"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
            ({"strategyType": "5"}, -1134, None),
            ({"strategyId": "9" * 20}, -1108, "Parameter 'strategyId' overflowed."),
            ({"icebergQty": "0.0005"}, -1013, "Iceberg orders are not supported for this symbol."),
            ({"trailingDelta": "10"}, -1013, "Trailing stop orders are not supported for this symbol."),
            ({"mood": "good"}, -1104, "Not all sent parameters were read; read '6' parameter(s) but was sent '7'."),
            ({"quantity": "100"}, -2010, "Account has insufficient balance for requested action."),
        ],
    )
    def test_a_market_order_is_refused_by_code_and_words(
        self, client: SignedClient, changes: dict[str, str | None], code: int, message: str | None
    ) -> None:
        order = {name: value for name, value in market(**changes).items() if value is not None}
        refused(client.signed("POST", ORDER, **order), 400, code, message)

    @pytest.mark.parametrize(
        ("changes", "code", "message"),
        [
            ({"timeInForce": None}, -1102, mandatory("timeInForce")),
            ({"price": None}, -1102, mandatory("price")),
            ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
            ({"price": "70000.001"}, -1013, "Filter failure: PRICE_FILTER"),
            ({"price": "100"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
            ({"price": "0"}, -1013, "Invalid price."),
        ],
    )
    def test_a_limit_order_is_refused_by_code_and_words(
        self, client: SignedClient, changes: dict[str, str | None], code: int, message: str | None
    ) -> None:
        order = {**market(type="LIMIT", timeInForce="GTC", price=far_below(client)), **changes}
        sent = {name: value for name, value in order.items() if value is not None}
        refused(client.signed("POST", ORDER, **sent), 400, code, message)

    def test_a_maker_that_would_take_is_refused(self, client: SignedClient) -> None:
        price = str((client.last_price("BTCUSDT") * Decimal("1.02")).quantize(Decimal("0.01")))
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.001", "price": price}
        refused(client.signed("POST", ORDER, **order), 400, -2010, "Order would immediately match and take.")


class TestQueries:
    def test_an_order_is_found_by_either_id(self, client: SignedClient) -> None:
        placed = limit_buy(client, newClientOrderId="find-me")
        by_number = client.signed("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"]).json()
        by_name = client.signed("GET", ORDER, symbol="BTCUSDT", origClientOrderId="find-me").json()
        assert by_number == by_name
        assert (by_number["status"], by_number["isWorking"], by_number["icebergQty"]) == ("NEW", True, "0.00000000")
        rows = client.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").json()
        assert by_number in rows

    def test_what_is_not_there_is_said_so(self, client: SignedClient) -> None:
        refused(client.signed("GET", ORDER, symbol="BTCUSDT", orderId=1), 400, -2013, "Order does not exist.")
        missing = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        refused(client.signed("GET", ORDER, symbol="BTCUSDT"), 400, -1102, missing)
        refused(client.signed("GET", "/api/v3/openOrders", symbol="NOPEUSDT"), 400, -1121)

    def test_all_orders_and_trades_can_be_read_from_an_id(self, client: SignedClient) -> None:
        first = client.order(symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0.05")
        second = client.order(symbol="ETHUSDT", side="SELL", type="MARKET", quantity="0.04")
        orders = client.signed("GET", "/api/v3/allOrders", symbol="ETHUSDT", orderId=first["orderId"]).json()
        assert [row["orderId"] for row in orders] == [first["orderId"], second["orderId"]]
        trades = client.signed("GET", "/api/v3/myTrades", symbol="ETHUSDT", orderId=second["orderId"]).json()
        assert [row["id"] for row in trades] == [fill["tradeId"] for fill in second["fills"]]
        assert not trades[0]["isBuyer"]
        assert not trades[0]["isMaker"]
        from_id = client.signed("GET", "/api/v3/myTrades", symbol="ETHUSDT", fromId=trades[-1]["id"]).json()
        assert from_id == trades[-1:]

    def test_spans_and_combinations_are_limited(self, client: SignedClient) -> None:
        day_and_more = {"symbol": "BTCUSDT", "startTime": now_ms() - 90_000_000, "endTime": now_ms()}
        message = "More than 24 hours between startTime and endTime."
        refused(client.signed("GET", "/api/v3/allOrders", **day_and_more), 400, -1127, message)
        odd = {"symbol": "BTCUSDT", "orderId": 1, "startTime": now_ms() - 1000}
        refused(client.signed("GET", "/api/v3/myTrades", **odd), 400, -1128)

    def test_the_account_shows_balances_and_rates(self, client: SignedClient) -> None:
        account = client.signed("GET", "/api/v3/account", omitZeroBalances="true").json()
        balances = {row["asset"]: row for row in account["balances"]}
        assert Decimal(balances["USDT"]["free"]) > 0
        assert account["commissionRates"]["maker"] == "0.00100000"
        assert (account["makerCommission"], account["permissions"]) == (10, ["SPOT"])
        rates = client.signed("GET", "/api/v3/account/commission", symbol="BTCUSDT").json()
        assert rates["standardCommission"]["taker"] == "0.00100000"


class TestCancelling:
    def test_a_cancel_names_itself_and_the_order(self, client: SignedClient) -> None:
        limit_buy(client, newClientOrderId="to-go")
        gone = client.signed(
            "DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="to-go", newClientOrderId="the-cancel"
        ).json()
        assert (gone["origClientOrderId"], gone["clientOrderId"]) == ("to-go", "the-cancel")
        assert gone["status"] == "CANCELED"
        again = client.signed("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="to-go")
        refused(again, 400, -2011, "Unknown order sent.")

    def test_restrictions_protect_an_order(self, client: SignedClient) -> None:
        placed = limit_buy(client)
        where = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
        message = "Order was not canceled due to cancel restrictions."
        half = client.signed("DELETE", ORDER, **where, cancelRestrictions="ONLY_PARTIALLY_FILLED")
        refused(half, 400, -2011, message)
        odd = client.signed("DELETE", ORDER, **where, cancelRestrictions="ONLY_MINE")
        refused(odd, 400, -1145, "Invalid cancelRestrictions")
        assert client.signed("DELETE", ORDER, **where, cancelRestrictions="ONLY_NEW").status_code == 200

    def test_all_open_orders_of_a_symbol_go_at_once(self, client: SignedClient) -> None:
        order = {"symbol": "SOLUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}
        price = far_below(client, "SOLUSDT")
        ids = {client.order(**order, price=price)["orderId"] for _ in range(3)}
        gone = client.signed("DELETE", "/api/v3/openOrders", symbol="SOLUSDT").json()
        assert {row["orderId"] for row in gone} == ids
        assert {row["status"] for row in gone} == {"CANCELED"}
        refused(client.signed("DELETE", "/api/v3/openOrders", symbol="SOLUSDT"), 400, -2011)

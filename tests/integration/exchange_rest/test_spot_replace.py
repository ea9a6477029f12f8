"""Spot orders changed on the wire, and the wallet beside them."""

from __future__ import annotations

from decimal import Decimal

from tests.integration.exchange_rest.signed_client import SignedClient, refused
from tests.integration.exchange_rest.spot_orders import far_below, limit_buy, market

ORDER = "/api/v3/order"
REPLACE = "/api/v3/order/cancelReplace"


class TestCancelReplace:
    def test_both_halves_succeed(self, client: SignedClient) -> None:
        old = limit_buy(client)
        answer = client.signed("POST", REPLACE, **self._new(client), cancelOrderId=old["orderId"])
        body = answer.json()
        assert answer.status_code == 200
        assert (body["cancelResult"], body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
        assert body["cancelResponse"]["orderId"] == old["orderId"]
        assert body["newOrderResponse"]["status"] == "NEW"
        assert "x-mbx-order-count-10s" in answer.headers

    def test_a_failed_cancel_stops_the_new_order(self, client: SignedClient) -> None:
        answer = client.signed("POST", REPLACE, **self._new(client), cancelOrderId=1)
        refused(answer, 400, -2022, "Order cancel-replace failed.")
        assert answer.json()["data"] == {
            "cancelResult": "FAILURE",
            "newOrderResult": "NOT_ATTEMPTED",
            "cancelResponse": {"code": -2011, "msg": "Unknown order sent."},
            "newOrderResponse": None,
        }

    def test_a_failed_cancel_may_be_allowed(self, client: SignedClient) -> None:
        answer = client.signed("POST", REPLACE, **self._new(client, mode="ALLOW_FAILURE"), cancelOrderId=1)
        refused(answer, 409, -2021, "Order cancel-replace partially failed.")
        data = answer.json()["data"]
        assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "SUCCESS")
        assert data["newOrderResponse"]["status"] == "NEW"

    def test_a_failed_new_order_leaves_the_cancel_done(self, client: SignedClient) -> None:
        old = limit_buy(client)
        answer = client.signed("POST", REPLACE, **self._new(client, quantity="100"), cancelOrderId=old["orderId"])
        refused(answer, 409, -2021, "Order cancel-replace partially failed.")
        data = answer.json()["data"]
        assert data["cancelResponse"]["status"] == "CANCELED"
        assert data["newOrderResponse"]["code"] == -2010

    def test_both_halves_may_fail(self, client: SignedClient) -> None:
        new = self._new(client, mode="ALLOW_FAILURE", quantity="100")
        answer = client.signed("POST", REPLACE, **new, cancelOrderId=1)
        refused(answer, 400, -2022)
        assert answer.json()["data"]["newOrderResult"] == "FAILURE"

    @staticmethod
    def _new(client: SignedClient, mode: str = "STOP_ON_FAILURE", **changes: object) -> dict[str, object]:
        order = market(type="LIMIT", timeInForce="GTC", price=far_below(client), cancelReplaceMode=mode)
        return {**order, **changes}


class TestAmending:
    def test_a_lower_quantity_keeps_the_order(self, client: SignedClient) -> None:
        old = limit_buy(client, quantity="0.002", newClientOrderId="before")
        answer = client.signed(
            "PUT",
            f"{ORDER}/amend/keepPriority",
            symbol="BTCUSDT",
            orderId=old["orderId"],
            newQty="0.001",
            newClientOrderId="after",
        ).json()
        amended = answer["amendedOrder"]
        assert answer["executionId"] > 0
        assert amended["orderId"] == old["orderId"]
        assert (amended["origClientOrderId"], amended["clientOrderId"]) == ("before", "after")
        assert (Decimal(amended["qty"]), amended["status"]) == (Decimal("0.001"), "NEW")

    def test_a_higher_quantity_is_refused(self, client: SignedClient) -> None:
        old = limit_buy(client)
        answer = client.signed(
            "PUT", f"{ORDER}/amend/keepPriority", symbol="BTCUSDT", orderId=old["orderId"], newQty="1"
        )
        refused(answer, 400, -2038)


class TestWallet:
    def test_the_key_says_what_it_may_do(self, client: SignedClient) -> None:
        may = client.signed("GET", "/sapi/v1/account/apiRestrictions").json()
        assert (may["enableReading"], may["enableSpotAndMarginTrading"], may["enableWithdrawals"]) == (
            True,
            True,
            False,
        )

    def test_every_coin_is_described(self, client: SignedClient) -> None:
        coins = {row["coin"] for row in client.signed("GET", "/sapi/v1/capital/config/getall").json()}
        assert {"BTC", "ETH", "USDT", "BNB"} <= coins

    def test_fees_can_be_paid_in_bnb(self, client: SignedClient) -> None:
        assert client.signed("POST", "/sapi/v1/bnbBurn", spotBNBBurn="true").json()["spotBNBBurn"] is True
        placed = client.order(**market())
        assert {fill["commissionAsset"] for fill in placed["fills"]} == {"BNB"}
        assert client.signed("POST", "/sapi/v1/bnbBurn", spotBNBBurn="false").json()["spotBNBBurn"] is False

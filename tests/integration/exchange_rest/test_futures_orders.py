"""USD-M orders, conditional orders, positions and settings on the wire."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from tests.integration.exchange_rest.signed_client import SignedClient, illegal, mandatory, now_ms, refused

ORDER = "/fapi/v1/order"
ALGO = "/fapi/v1/algoOrder"
PRICE = "/fapi/v1/ticker/price"
CONDITIONALS = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")


def near(client: SignedClient, factor: str, symbol: str = "BTCUSDT", tick: str = "0.1") -> str:
    """A price at a factor of the last."""
    return str((client.last_price(symbol, PRICE) * Decimal(factor)).quantize(Decimal(tick)))


def resting(client: SignedClient, **changes: object) -> dict[str, object]:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    return {**order, "price": near(client, "0.96"), **changes}


def market(**changes: object) -> dict[str, object]:
    return {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", **changes}


def quantity_of(client: SignedClient, symbol: str) -> Decimal:
    rows = client.signed("GET", "/fapi/v2/positionRisk", symbol=symbol).json()
    return sum((Decimal(row["positionAmt"]) for row in rows), Decimal(0))


class TestOrders:
    def test_an_acknowledgement_shows_the_order_as_new(self, client: SignedClient) -> None:
        placed = client.future(**market())
        assert (placed["status"], placed["executedQty"], placed["avgPrice"]) == ("NEW", "0", "0.00")
        seen = client.signed("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"]).json()
        assert (seen["status"], seen["executedQty"]) == ("FILLED", "0.01")

    def test_a_result_shows_the_order_after_matching(self, client: SignedClient) -> None:
        placed = client.future(**market(), newOrderRespType="RESULT")
        assert placed["status"] == "FILLED"
        assert Decimal(placed["cumQuote"]) == Decimal(placed["avgPrice"]) * Decimal("0.01")
        trades = client.signed("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", orderId=placed["orderId"]).json()
        assert sum(Decimal(row["qty"]) for row in trades) == Decimal("0.01")
        assert {row["commissionAsset"] for row in trades} == {"USDT"}

    def test_an_order_rests_is_modified_and_cancelled(self, client: SignedClient) -> None:
        placed = client.future(**resting(client, newClientOrderId="mine.1:a/b"))
        where = {"symbol": "BTCUSDT", "origClientOrderId": "mine.1:a/b"}
        changed = client.signed("PUT", ORDER, **where, side="BUY", quantity="0.02", price=near(client, "0.97")).json()
        assert (changed["orderId"], changed["origQty"]) == (placed["orderId"], "0.02")
        assert client.signed("GET", "/fapi/v1/openOrder", **where).json()["status"] == "NEW"
        gone = client.signed("DELETE", ORDER, **where).json()
        assert gone["status"] == "CANCELED"
        refused(client.signed("DELETE", ORDER, **where), 400, -2011, "Unknown order sent.")
        refused(client.signed("GET", "/fapi/v1/openOrder", **where), 400, -2013, "Order does not exist.")

    def test_a_batch_answers_each_order_on_its_own(self, client: SignedClient) -> None:
        price = near(client, "0.96")
        batch = (
            '[{"type":"LIMIT","timeInForce":"GTC","symbol":"BTCUSDT","side":"BUY","quantity":"0.01",'
            f'"price":"{price}"}},{{"type":"MARKET","symbol":"BTCUSDT","side":"BUY","quantity":"99"}}]'
        )
        good, bad = client.signed("POST", "/fapi/v1/batchOrders", batchOrders=batch).json()
        assert good["status"] == "NEW"
        assert bad["code"] == -2019
        ids = f"[{good['orderId']},1]"
        gone, missing = client.signed("DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", orderIdList=ids).json()
        assert (gone["status"], missing["code"]) == ("CANCELED", -2011)

    def test_all_open_orders_of_a_symbol_go_at_once(self, client: SignedClient) -> None:
        price = near(client, "0.96", "ETHUSDT", "0.01")
        client.future(**resting(client, symbol="ETHUSDT", quantity="0.1", price=price))
        assert len(client.signed("GET", "/fapi/v1/openOrders", symbol="ETHUSDT").json()) == 1
        done = client.signed("DELETE", "/fapi/v1/allOpenOrders", symbol="ETHUSDT").json()
        assert done == {"code": 200, "msg": "The operation of cancel all open order is done."}
        assert client.signed("GET", "/fapi/v1/openOrders", symbol="ETHUSDT").json() == []
        last = client.signed("GET", "/fapi/v1/allOrders", symbol="ETHUSDT").json()[-1]
        assert last["status"] == "CANCELED"

    def test_orders_cost_no_weight_but_are_counted(self, client: SignedClient) -> None:
        answer = client.signed("POST", ORDER, **resting(client))
        assert int(answer.headers["x-mbx-order-count-10s"]) >= 1
        assert int(answer.headers["x-mbx-order-count-1m"]) >= 1

    @pytest.mark.parametrize("kind", CONDITIONALS)
    def test_conditional_types_are_sent_to_the_algo_endpoints(self, client: SignedClient, kind: str) -> None:
        order = market(type=kind, stopPrice=near(client, "1.02"), price=near(client, "1.02"))
        message = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
        refused(client.signed("POST", ORDER, **order), 400, -4120, message)

    @pytest.mark.parametrize(
        ("changes", "code", "message"),
        [
            ({"symbol": "NOPEUSDT"}, -1121, "Invalid symbol."),
            ({"side": "HOLD"}, -1117, "Invalid side."),
            ({"type": "LIMIT_MAKER"}, -1116, "Invalid orderType."),
            ({"quantity": None}, -1102, mandatory("quantity")),
            ({"price": "100"}, -1106, "Parameter 'price' sent when not required."),
            ({"quantity": "0.0001"}, -1111, "Precision is over the maximum defined for this asset."),
            ({"quantity": "0"}, -4003, None),
            ({"quantity": "5000"}, -4005, None),
            ({"quantity": "100"}, -2019, "Margin is insufficient."),
            ({"newClientOrderId": "x" * 37}, -4015, None),
            ({"newClientOrderId": "a b"}, -1100, illegal("newClientOrderId", "^[\\.A-Z\\:/a-z0-9_-]{1,36}$")),
            ({"positionSide": "LONG"}, -4061, "Order's position side does not match user's setting."),
            ({"positionSide": "UP"}, -4060, "Invalid position side."),
            ({"newOrderRespType": "FULL"}, -1136, "Invalid newOrderRespType."),
            ({"selfTradePreventionMode": "MAYBE"}, -5039, None),
            ({"priceMatch": "OPPONENT"}, -5037, "Invalid price match"),
            ({"closePosition": "true"}, -4136, None),
        ],
    )
    def test_a_market_order_is_refused_by_code_and_words(
        self, client: SignedClient, changes: dict[str, str | None], code: int, message: str | None
    ) -> None:
        order = {name: value for name, value in market(**changes).items() if value is not None}
        refused(client.signed("POST", ORDER, **order), 400, code, message)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"timeInForce": None}, -1102),
            ({"timeInForce": "DAY"}, -1115),
            ({"timeInForce": "GTD"}, -1102),
            ({"timeInForce": "GTD", "goodTillDate": "1"}, -5040),
            ({"price": "90000.05"}, -1111),
            ({"price": "200000"}, -4016),
            ({"quantity": "0.001", "price": "20000"}, -4164),
        ],
    )
    def test_a_limit_order_is_refused_by_code(
        self, client: SignedClient, changes: dict[str, str | None], code: int
    ) -> None:
        order = {name: value for name, value in resting(client, **changes).items() if value is not None}
        refused(client.signed("POST", ORDER, **order), 400, code)

    def test_post_only_that_would_take_is_refused(self, client: SignedClient) -> None:
        order = resting(client, timeInForce="GTX", price=near(client, "1.02"))
        refused(client.signed("POST", ORDER, **order), 400, -5022)


class TestConditionalOrders:
    def test_a_stop_is_placed_listed_and_cancelled(self, client: SignedClient) -> None:
        placed = client.signed("POST", ALGO, **self._stop(client, clientAlgoId="guard")).json()
        assert (placed["algoStatus"], placed["orderType"], placed["algoType"]) == ("NEW", "STOP_MARKET", "CONDITIONAL")
        seen = client.signed("GET", ALGO, clientAlgoId="guard").json()
        assert (seen["algoId"], seen["actualOrderId"]) == (placed["algoId"], "")
        listed = client.signed("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT").json()
        assert seen in listed
        gone = client.signed("DELETE", ALGO, algoId=placed["algoId"]).json()
        assert gone == {"algoId": placed["algoId"], "clientAlgoId": "guard", "code": "200", "msg": "success"}
        history = client.signed("GET", "/fapi/v1/allAlgoOrders", symbol="BTCUSDT", algoId=placed["algoId"]).json()
        assert history[0]["algoStatus"] == "CANCELED"

    def test_all_conditional_orders_of_a_symbol_go_at_once(self, client: SignedClient) -> None:
        client.signed("POST", ALGO, **self._stop(client))
        done = client.signed("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT").json()
        assert done["code"] == 200
        assert client.signed("GET", "/fapi/v1/openAlgoOrders", symbol="BTCUSDT").json() == []

    def test_a_trailing_stop_takes_its_callback_rate(self, client: SignedClient) -> None:
        order = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "TRAILING_STOP_MARKET"}
        placed = client.signed("POST", ALGO, **order, quantity="0.01", callbackRate="1").json()
        assert placed["callbackRate"] == "1"
        client.signed("DELETE", ALGO, algoId=placed["algoId"])

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"algoType": "TWAP"}, -1130),
            ({"algoType": None}, -1102),
            ({"type": "MARKET"}, -1116),
            ({"triggerPrice": None}, -1102),
            ({"quantity": None}, -1102),
            ({"price": "1"}, -1106),
            ({"closePosition": "true"}, -4137),
            ({"workingType": "LAST"}, -4031),
        ],
    )
    def test_a_stop_is_refused_by_code(self, client: SignedClient, changes: dict[str, str | None], code: int) -> None:
        order = {name: value for name, value in self._stop(client, **changes).items() if value is not None}
        refused(client.signed("POST", ALGO, **order), 400, code)

    def test_an_id_is_needed(self, client: SignedClient) -> None:
        refused(client.signed("GET", ALGO), 400, -1102)

    @staticmethod
    def _stop(client: SignedClient, **changes: object) -> dict[str, object]:
        order = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET"}
        return {**order, "quantity": "0.01", "triggerPrice": near(client, "0.9"), **changes}


class TestPositionsAndWallet:
    def test_a_position_shows_alike_in_every_view(self, client: SignedClient) -> None:
        client.future(**market(symbol="SOLUSDT", quantity="10"))
        v2 = client.signed("GET", "/fapi/v2/positionRisk", symbol="SOLUSDT").json()[0]
        v3 = client.signed("GET", "/fapi/v3/positionRisk", symbol="SOLUSDT").json()[0]
        assert v2["positionAmt"] == v3["positionAmt"] == "10"
        assert v2["entryPrice"] == v3["entryPrice"]
        assert (v2["marginType"], v3["marginAsset"]) == ("cross", "USDT")
        positions = client.signed("GET", "/fapi/v3/account").json()["positions"]
        assert "SOLUSDT" in {row["symbol"] for row in positions}
        every = client.signed("GET", "/fapi/v2/account").json()["positions"]
        assert len(every) > len(positions)

    def test_a_position_is_closed_by_reducing(self, client: SignedClient) -> None:
        client.future(**market(symbol="XRPUSDT", quantity="100"))
        close = market(symbol="XRPUSDT", side="SELL", quantity="100", reduceOnly="true")
        client.future(**close)
        assert quantity_of(client, "XRPUSDT") == 0
        refused(client.signed("POST", ORDER, **close), 400, -2022, "ReduceOnly Order is rejected.")

    def test_wallet_views_agree(self, client: SignedClient) -> None:
        v2 = client.signed("GET", "/fapi/v2/balance").json()
        v3 = client.signed("GET", "/fapi/v3/balance").json()
        assert [row["asset"] for row in v2] == [row["asset"] for row in v3]
        account = client.signed("GET", "/fapi/v3/account").json()
        usdt = next(row for row in v3 if row["asset"] == "USDT")
        assert Decimal(account["totalWalletBalance"]) == Decimal(usdt["balance"])

    def test_income_tells_fees_and_transfers(self, client: SignedClient) -> None:
        client.future(**market())
        kinds = {row["incomeType"] for row in client.signed("GET", "/fapi/v1/income").json()}
        assert {"TRANSFER", "COMMISSION"} <= kinds
        fees = client.signed("GET", "/fapi/v1/income", incomeType="COMMISSION", limit=1).json()
        assert len(fees) == 1
        assert Decimal(fees[0]["income"]) < 0

    def test_fees_and_brackets_are_told(self, client: SignedClient) -> None:
        rates = client.signed("GET", "/fapi/v1/commissionRate", symbol="BTCUSDT").json()
        assert rates["takerCommissionRate"] == "0.001"
        one = client.signed("GET", "/fapi/v1/leverageBracket", symbol="BTCUSDT").json()
        assert one["brackets"][0]["initialLeverage"] == 125
        assert len(client.signed("GET", "/fapi/v1/leverageBracket").json()) >= 6

    def test_listen_keys_live_until_closed(self, client: SignedClient) -> None:
        first = client.raw("POST", "/fapi/v1/listenKey").json()["listenKey"]
        assert client.raw("POST", "/fapi/v1/listenKey").json()["listenKey"] == first
        assert client.raw("PUT", "/fapi/v1/listenKey").json()["listenKey"] == first
        assert client.raw("DELETE", "/fapi/v1/listenKey").json() == {}
        refused(client.raw("PUT", "/fapi/v1/listenKey"), 400, -1125)
        refused(client.raw("POST", "/fapi/v1/listenKey", key=""), 401, -2014)


class TestSettings:
    def test_leverage_is_set_and_seen(self, client: SignedClient) -> None:
        done = client.signed("POST", "/fapi/v1/leverage", symbol="BNBUSDT", leverage=7).json()
        assert (done["leverage"], done["symbol"]) == (7, "BNBUSDT")
        row = client.signed("GET", "/fapi/v1/symbolConfig", symbol="BNBUSDT").json()[0]
        assert (row["leverage"], row["marginType"]) == (7, "CROSSED")
        refused(client.signed("POST", "/fapi/v1/leverage", symbol="BNBUSDT", leverage=126), 400, -4028)

    def test_the_margin_type_changes_once(self, client: SignedClient) -> None:
        isolate = {"symbol": "DOGEUSDT", "marginType": "ISOLATED"}
        assert client.signed("POST", "/fapi/v1/marginType", **isolate).json() == {"code": 200, "msg": "success"}
        again = client.signed("POST", "/fapi/v1/marginType", **isolate)
        refused(again, 400, -4046, "No need to change margin type.")

    def test_the_position_mode_is_guarded(self, client: SignedClient) -> None:
        assert client.signed("GET", "/fapi/v1/positionSide/dual").json() == {"dualSidePosition": False}
        same = client.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="false")
        refused(same, 400, -4059, "No need to change position side.")

    def test_the_asset_mode_is_single(self, client: SignedClient) -> None:
        assert client.signed("GET", "/fapi/v1/multiAssetsMargin").json() == {"multiAssetsMargin": False}
        refused(client.signed("POST", "/fapi/v1/multiAssetsMargin", multiAssetsMargin="false"), 400, -4171)

    def test_a_countdown_cancels_unless_it_is_renewed(self, client: SignedClient) -> None:
        path = "/fapi/v1/countdownCancelAll"
        price = near(client, "0.96", "BNBUSDT", "0.01")
        client.future(**resting(client, symbol="BNBUSDT", quantity="1", price=price))
        client.signed("POST", path, symbol="BNBUSDT", countdownTime=100)
        client.signed("POST", path, symbol="BNBUSDT", countdownTime=0)
        time.sleep(0.2)
        assert len(client.signed("GET", "/fapi/v1/openOrders", symbol="BNBUSDT").json()) == 1
        answer = client.signed("POST", path, symbol="BNBUSDT", countdownTime=50).json()
        assert answer == {"symbol": "BNBUSDT", "countdownTime": "50"}
        time.sleep(0.2)
        assert client.signed("GET", "/fapi/v1/openOrders", symbol="BNBUSDT").json() == []


def test_spans_are_limited_to_a_week(client: SignedClient) -> None:
    span = {"symbol": "BTCUSDT", "startTime": now_ms() - 8 * 86_400_000, "endTime": now_ms()}
    refused(client.signed("GET", "/fapi/v1/userTrades", **span), 400, -4165)

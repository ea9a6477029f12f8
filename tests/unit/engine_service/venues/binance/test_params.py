"""The engine's orders in the venue's words."""

from decimal import Decimal
from typing import Any

import pytest

from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderType, TimeInForce
from engine_service.venues.binance import params
from engine_service.venues.port import AmendRequest
from tests.unit.engine_service.venues.builders import limit_order, market_order


def test_a_market_order_in_base_asks_for_the_full_answer_with_fills() -> None:
    asked = params.spot_order(market_order(quantity=Decimal("0.00100000")))
    assert asked == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "newClientOrderId": "ab12",
        "newOrderRespType": "FULL",
        "quantity": "0.001",
    }


def test_a_market_order_in_quote_uses_the_venues_quote_quantity() -> None:
    asked = params.spot_order(market_order(quantity=None, quote_quantity=Decimal(25)))
    assert asked["quoteOrderQty"] == "25"
    assert "quantity" not in asked


@pytest.mark.parametrize(
    ("changes", "spot", "futures"),
    [
        ({}, {"type": "LIMIT", "timeInForce": "GTC"}, {"type": "LIMIT", "timeInForce": "GTC"}),
        ({"post_only": True}, {"type": "LIMIT_MAKER"}, {"type": "LIMIT", "timeInForce": "GTX"}),
        ({"time_in_force": TimeInForce.FOK}, {"timeInForce": "FOK"}, {"timeInForce": "FOK"}),
    ],
)
def test_limit_orders_in_both_markets_words(
    changes: dict[str, Any], spot: dict[str, str], futures: dict[str, str]
) -> None:
    order = limit_order(**changes)
    assert spot.items() <= params.spot_order(order).items()
    assert ("timeInForce" in params.spot_order(order)) == ("timeInForce" in spot or not changes)
    assert futures.items() <= params.futures_order(order).items()


@pytest.mark.parametrize(
    ("kind", "spot", "futures"),
    [
        (OrderType.STOP_MARKET, "STOP_LOSS", "STOP_MARKET"),
        (OrderType.STOP_LIMIT, "STOP_LOSS_LIMIT", "STOP"),
        (OrderType.TAKE_PROFIT_MARKET, "TAKE_PROFIT", "TAKE_PROFIT_MARKET"),
        (OrderType.TAKE_PROFIT_LIMIT, "TAKE_PROFIT_LIMIT", "TAKE_PROFIT"),
    ],
)
def test_conditional_orders_go_to_the_algo_service_on_futures(kind: OrderType, spot: str, futures: str) -> None:
    order = limit_order(type=kind, stop_price=Decimal(29000), reduce_only=True)
    on_spot, on_futures = params.spot_order(order), params.algo_order(order)
    assert (on_spot["type"], on_spot["stopPrice"]) == (spot, "29000")
    assert (on_futures["type"], on_futures["triggerPrice"]) == (futures, "29000")
    assert (on_futures["clientAlgoId"], on_futures["reduceOnly"]) == ("ab12", "true")
    assert ("price" in on_spot) == (kind in {OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})


def test_reduce_only_is_never_sent_to_spot_which_does_not_know_it() -> None:
    assert "reduceOnly" not in params.spot_order(limit_order(reduce_only=True))


@pytest.mark.parametrize(
    "order",
    [
        limit_order(limit_price=None),
        limit_order(quantity=None, quote_quantity=Decimal(5)),
        limit_order(type=OrderType.STOP_MARKET),
    ],
)
def test_an_order_that_cannot_be_said_is_refused_before_anything_is_sent(order: Any) -> None:
    with pytest.raises(params.Untranslatable):
        params.spot_order(order)


def test_what_takes_the_place_of_an_order_is_only_what_the_old_one_has_not_bought() -> None:
    request = AmendRequest(
        order=limit_order(filled_quantity=Decimal("0.4")),
        limit_price=Decimal(31000),
        replacement_client_order_id="new1",
    )
    asked = params.spot_remainder(request, Decimal("0.7"))
    assert (asked["quantity"], asked["price"], asked["newClientOrderId"]) == ("0.3", "31000", "new1")
    assert not [name for name in asked if name.startswith("cancel")]


def test_an_order_of_which_no_trade_is_known_is_replaced_only_while_it_has_none() -> None:
    request = AmendRequest(order=limit_order(), limit_price=Decimal(31000), replacement_client_order_id="new1")
    asked = params.spot_replacement(request)
    assert (asked["quantity"], asked["price"]) == ("1", "31000")
    assert (asked["newClientOrderId"], asked["cancelOrigClientOrderId"]) == ("new1", "ab12")
    assert (asked["cancelReplaceMode"], asked["cancelRestrictions"]) == ("STOP_ON_FAILURE", "ONLY_NEW")


def test_a_replacement_without_an_id_of_its_own_is_refused() -> None:
    with pytest.raises(params.Untranslatable):
        params.spot_replacement(AmendRequest(order=limit_order(), limit_price=Decimal(1)))


def test_a_futures_amendment_repeats_what_does_not_change() -> None:
    order = limit_order(market=Market.FUTURES)
    asked = params.futures_amendment(AmendRequest(order=order, quantity=Decimal("0.5")))
    assert (asked["quantity"], asked["price"]) == ("0.5", "30000")

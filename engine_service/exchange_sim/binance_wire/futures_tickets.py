"""A USD-M order request becomes a ticket: mandatory and forbidden parameters by type, enums, precision."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.binance_wire.params import (
    FUTURES_CLIENT_ID_RANGE,
    Params,
    decimals_of,
)
from engine_service.exchange_sim.enums import (
    Market,
    OrderType,
    PositionSide,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from engine_service.exchange_sim.errors import ExchangeError, missing_parameter, unneeded_parameter
from engine_service.exchange_sim.model import NewOrder, SymbolSpec
from engine_service.exchange_sim.specs import FUTURES_ORDER_TYPES

LONGEST_CLIENT_ID = 36
_LEAST_GOOD_TILL_MS = 600_000
_LAST_GOOD_TILL_MS = 253_402_300_799_000
_FORBIDDEN_WITH_MARKET = ("price", "timeInForce")
_NEEDED = {
    OrderType.LIMIT: ("timeInForce", "quantity", "price"),
    OrderType.MARKET: ("quantity",),
}


class FuturesResponse(StrEnum):
    """`newOrderRespType` of USD-M."""

    ACK = "ACK"
    RESULT = "RESULT"


def futures_ticket(params: Params, spec: SymbolSpec, now_ms: int) -> NewOrder:
    """Read a new order.

    Args:
        spec: the symbol's, already looked up (an unknown symbol is refused before anything else).
        now_ms: the exchange's time, for GTD.

    Raises:
        ExchangeError: -4120 conditional types, -1102 missing, -1106 not wanted, -1111 precision, -1115 to -1117
            enums, -4015 client ids, -5040 GTD times.
    """
    side = params.need_choice("side", Side, errors.invalid_side)
    kind = params.need_choice("type", OrderType, errors.invalid_order_type)
    _check_type(kind)
    for name in _NEEDED[kind]:
        params.need_text(name)
    if kind is OrderType.MARKET:
        for name in _FORBIDDEN_WITH_MARKET:
            if params.sent(name):
                raise unneeded_parameter(name)
    if params.boolean("closePosition"):
        raise ExchangeError(-4136, f"Target strategy invalid for orderType {kind.value},closePosition true")
    refuse_price_match(params)
    time_in_force = params.choice("timeInForce", TimeInForce, errors.invalid_time_in_force)
    quantity, price = params.decimal("quantity"), params.decimal("price")
    check_precision(spec, quantity, price)
    return NewOrder(
        market=Market.FUTURES,
        symbol=spec.symbol,
        side=side,
        type=kind,
        quantity=quantity,
        price=price,
        time_in_force=time_in_force,
        client_order_id=client_id(params, "newClientOrderId") or "",
        stp=self_trade_prevention(params),
        position_side=position_side(params),
        reduce_only=params.boolean("reduceOnly"),
        good_till_ms=good_till(params, time_in_force, now_ms),
    )


def response_is_final(params: Params) -> bool:
    """Whether the answer is to show the order after matching. Raises -1136."""
    refusal = ExchangeError(-1136, "Invalid newOrderRespType.")
    return params.choice("newOrderRespType", FuturesResponse, lambda: refusal) is FuturesResponse.RESULT


def client_id(params: Params, name: str) -> str | None:
    """A client id. Raises -4015 for its length, -1100 for its characters."""
    value = params.text(name)
    if value is not None and len(value) > LONGEST_CLIENT_ID:
        raise ExchangeError(-4015, "Client order id length should not be more than 36 chars")
    return params.client_id(name, FUTURES_CLIENT_ID_RANGE)


def position_side(params: Params) -> PositionSide:
    refusal = ExchangeError(-4060, "Invalid position side.")
    return params.choice("positionSide", PositionSide, lambda: refusal) or PositionSide.BOTH


def self_trade_prevention(params: Params) -> SelfTradePrevention | None:
    refusal = ExchangeError(-5039, "Invalid self trade prevention mode")
    return params.choice("selfTradePreventionMode", SelfTradePrevention, lambda: refusal)


def refuse_price_match(params: Params) -> None:
    """Prices must be sent: the exchange does not peg them to its book."""
    if params.text("priceMatch") not in (None, "NONE"):
        raise ExchangeError(-5037, "Invalid price match")


def check_precision(spec: SymbolSpec, quantity: Decimal | None, price: Decimal | None) -> None:
    """Raises -1111 for more decimals than exchangeInfo's precisions."""
    if quantity is not None and decimals_of(quantity) > spec.quantity_precision:
        raise errors.over_precision()
    if price is not None and decimals_of(price) > spec.price_precision:
        raise errors.over_precision()


def good_till(params: Params, time_in_force: TimeInForce | None, now_ms: int) -> int:
    """`goodTillDate` of a GTD order, whole seconds. Raises -1102 or -5040."""
    value = params.integer("goodTillDate")
    if time_in_force is not TimeInForce.GTD:
        return 0
    if value is None:
        raise missing_parameter("goodTillDate")
    if not now_ms + _LEAST_GOOD_TILL_MS < value < _LAST_GOOD_TILL_MS:
        raise ExchangeError(
            -5040,
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than "
            "253402300799000 (UTC 9999-12-31 23:59:59)",
        )
    return value // 1000 * 1000


def _check_type(kind: OrderType) -> None:
    if kind not in FUTURES_ORDER_TYPES:
        raise errors.invalid_order_type()
    if kind not in _NEEDED:
        raise ExchangeError(
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        )

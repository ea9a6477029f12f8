"""Which conditional tickets the USD-M market takes. Pure."""

from __future__ import annotations

from decimal import Decimal

from engine_service.exchange_sim.enums import OrderType
from engine_service.exchange_sim.errors import ExchangeError, missing_parameter, unneeded_parameter
from engine_service.exchange_sim.model import AlgoOrder, SymbolSpec
from engine_service.exchange_sim.order_rules import (
    CONDITIONAL_FUTURES_TYPES,
    check_futures_price,
    check_futures_quantity,
    check_position_side,
)

_LIMIT_TYPES = (OrderType.STOP, OrderType.TAKE_PROFIT)
_CLOSING_TYPES = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
_CALLBACK_RANGE_PCT = (Decimal("0.1"), Decimal(10))


def check_algo(algo: AlgoOrder, spec: SymbolSpec, *, hedge_mode: bool) -> None:
    """Raises ExchangeError with the venue's code where a field is missing, not allowed or out of its filter."""
    if algo.type not in CONDITIONAL_FUTURES_TYPES:
        raise ExchangeError(-1116, "Invalid orderType.")
    check_position_side(
        algo.position_side,
        reduce_only=algo.reduce_only,
        hedge_mode=hedge_mode,
        close_position=algo.close_position,
    )
    _check_quantity(algo, spec)
    if algo.type is OrderType.TRAILING_STOP_MARKET:
        _check_trailing(algo, spec)
    elif not algo.trigger_price:
        raise missing_parameter("triggerPrice")
    else:
        check_futures_price(algo.trigger_price, spec)
    if algo.type in _LIMIT_TYPES:
        if not algo.price:
            raise missing_parameter("price")
        check_futures_price(algo.price, spec)
    elif algo.price:
        raise unneeded_parameter("price")


def _check_quantity(algo: AlgoOrder, spec: SymbolSpec) -> None:
    if not algo.close_position:
        if not algo.quantity:
            raise missing_parameter("quantity")
        check_futures_quantity(algo.quantity, spec, is_market=algo.type not in _LIMIT_TYPES)
        return
    if algo.type not in _CLOSING_TYPES:
        raise unneeded_parameter("closePosition")
    if algo.quantity:
        raise ExchangeError(-4137, "Quantity must be zero with closePosition equals true.")
    if algo.reduce_only:
        raise unneeded_parameter("reduceOnly")


def _check_trailing(algo: AlgoOrder, spec: SymbolSpec) -> None:
    lowest, highest = _CALLBACK_RANGE_PCT
    if not algo.callback_rate_pct:
        raise missing_parameter("callbackRate")
    if not lowest <= algo.callback_rate_pct <= highest:
        raise ExchangeError(-2007, "Invalid callBack rate.")
    if algo.activation_price:
        check_futures_price(algo.activation_price, spec)

"""The engine's own orders: strategies and brackets go through the same walk as everyone's requests."""

from __future__ import annotations

import hashlib

from engine_service.domain.errors import Refused, VenueRefused
from engine_service.domain.events import IdempotencyMark
from engine_service.domain.ids import ENGINE, Market
from engine_service.domain.order import Order, OrderRequest
from engine_service.domain.order_status import OrderType, TimeInForce
from engine_service.execution.answers import SubmitStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.storage.codec import encode_canonical


async def submit_own(core: EngineCore, request: OrderRequest, key: str) -> None:
    """Send an order of the engine's own under a key that the bar or bracket behind it gives.

    Raises:
        Refused: a rail said no.
        VenueRefused: the venue said no, or was certainly not reached.
        EngineError: as ``submit``.
    """
    mark = IdempotencyMark(
        scope=f"{ENGINE}|{request.strategy}",
        key=key,
        fingerprint=hashlib.sha256(encode_canonical(request)).hexdigest(),
        principal=ENGINE,
    )
    result = await submit(core, request, mark)
    if result.status is SubmitStatus.DENIED:
        raise Refused(result.code, result.reason, numbers=result.numbers)
    if result.status in (SubmitStatus.REJECTED, SubmitStatus.NOT_PLACED):
        raise VenueRefused(result.code, result.reason)


def signal_task(strategy: str, symbol: str) -> str:
    """Return the name of the task that sends what a strategy's signal asks for."""
    return f"order:{strategy}:{symbol}"


def bracket_task(bracket_id: str) -> str:
    """Return the name of the task that sends a bracket's exit."""
    return f"bracket:{bracket_id}"


def on_its_way(core: EngineCore, strategy: str, symbol: str, market: Market) -> list[Order]:
    """Return a strategy's orders of which nobody knows yet what they trade: such as never rest, but are open.

    ``strategy`` empty: everybody's.
    They are being sent, or in doubt since this run or an earlier one. What the strategy holds is not known meanwhile.
    """
    return [
        order
        for order in core.state.orders_of_line(symbol, market)
        if (not strategy or order.strategy == strategy)
        and (order.type is OrderType.MARKET or order.time_in_force is TimeInForce.IOC)
    ]

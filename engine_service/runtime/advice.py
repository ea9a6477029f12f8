"""What advice makes of a strategy's entry: smaller, as an IOC limit, or not at all. Exits are never advised on."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.advice import AdvisedSize, AdvisedTactic, Tactic
from engine_service.domain.money import BPS, ONE, plain
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderType, TimeInForce
from engine_service.execution.core import EngineCore


async def give_advice(
    core: EngineCore,
    *,
    tactics: Sequence[AdvisedTactic] | None,
    sizes: Sequence[AdvisedSize] | None,
    valid_ms: int,
    principal: str,
    reason: str,
) -> None:
    """Journal advice and put it in force; each kind replaces what was advised of it before.

    Raises:
        Unavailable: the journal failed.
    """
    now = core.clock.now_ms()
    await core.commit(
        e.AdviceGiven(
            at_ms=now,
            valid_until_ms=now + valid_ms,
            tactics=None if tactics is None else tuple(tactics),
            sizes=None if sizes is None else tuple(sizes),
            principal=principal,
            reason=reason,
        )
    )


def tactics_in_force(core: EngineCore) -> Sequence[AdvisedTactic]:
    """Return the tactics that are still valid."""
    given = core.state.image.tactics
    return (given.tactics or ()) if _is_valid(core, given) and given else ()


def sizes_in_force(core: EngineCore) -> Sequence[AdvisedSize]:
    """Return the sizes that are still valid."""
    given = core.state.image.sizes
    return (given.sizes or ()) if _is_valid(core, given) and given else ()


def advised_scale(core: EngineCore, strategy: str, symbol: str) -> Decimal:
    """Return the advised share of full size, 1 where there is no valid advice."""
    for size in sizes_in_force(core):
        if size.strategy == strategy and size.symbol == symbol:
            return size.scale
    return ONE


def advised(core: EngineCore, request: OrderRequest, mark: Decimal) -> OrderRequest | AdvisedTactic:
    """Return the order as advised, or the advice that keeps it back.

    Only entries at market change; an IOC limit may pay ``limit_bps`` beyond the mark, in quote per base.
    """
    found = _tactic(core, request)
    if found is None:
        return request
    told = {**request.why, "tactic": f"{found.tactic.value}: {found.reason}" if found.reason else found.tactic.value}
    match found.tactic:
        case Tactic.SKIP:
            return found
        case Tactic.MARKET:
            return replace(request, why=told)
        case Tactic.IOC_LIMIT:
            limit = mark * (1 + request.side.sign * found.limit_bps / BPS)
            told["limit"] = plain(limit)
            return replace(request, type=OrderType.LIMIT, limit_price=limit, time_in_force=TimeInForce.IOC, why=told)


def _tactic(core: EngineCore, request: OrderRequest) -> AdvisedTactic | None:
    if request.leg != "entry" or request.reduce_only:
        return None
    for tactic in tactics_in_force(core):
        if tactic.symbol == request.symbol and tactic.side is request.side:
            return tactic
    return None


def _is_valid(core: EngineCore, given: e.AdviceGiven | None) -> bool:
    return given is not None and core.clock.now_ms() < given.valid_until_ms

"""What an operator has to know, said in the process log as it is committed; the audit log has every event."""

from __future__ import annotations

import structlog

from engine_service.domain import events as e
from engine_service.domain.money import plain
from engine_service.storage.port import Recorded

KINDS = (
    e.TradingHalted,
    e.TradingResumed,
    e.SymbolRestricted,
    e.SymbolReleased,
    e.OrderQuarantined,
    e.OrderResurrected,
    e.Anomaly,
    e.BreakFound,
    e.BalanceAdjusted,
    e.PositionAdopted,
)

_log = structlog.get_logger(__name__)


def tell(row: Recorded) -> None:
    """Say one event of ``KINDS``, with its number in the journal."""
    match row.event:
        case e.TradingHalted(reason=reason, principal=by):
            _log.warning("trading halted", reason=reason, by=by, seq=row.seq)
        case e.TradingResumed(reason=reason, principal=by):
            _log.info("trading resumed", reason=reason, by=by, seq=row.seq)
        case e.SymbolRestricted(symbol=symbol, code=code, reason=reason):
            _log.warning("only reduce-only orders in a symbol", symbol=symbol, code=code, reason=reason, seq=row.seq)
        case e.SymbolReleased(symbol=symbol, reason=reason, principal=by):
            _log.info("symbol released", symbol=symbol, reason=reason, by=by, seq=row.seq)
        case e.OrderQuarantined(client_order_id=cid, reason=reason):
            _log.warning("order put aside for a person", order=cid, reason=reason, seq=row.seq)
        case e.OrderResurrected(client_order_id=cid):
            _log.warning("an order proved absent has appeared", order=cid, seq=row.seq)
        case e.Anomaly(kind=kind, subject=subject, detail=detail):
            _log.warning("anomaly", kind=kind, subject=subject, detail=detail, seq=row.seq)
        case e.BreakFound(break_id=what, ours=ours, theirs=theirs, resolution=resolution):
            _log.warning("differs from the venue", what=what, ours=ours, theirs=theirs, now=resolution, seq=row.seq)
        case e.BalanceAdjusted(asset=asset, amount=amount, kind=kind, reference=reference):
            _log.info("balance adjusted", asset=asset, amount=plain(amount), kind=kind.value, by=reference, seq=row.seq)
        case e.PositionAdopted(symbol=symbol, quantity=quantity):
            _log.warning("position taken over from the venue", symbol=symbol, quantity=plain(quantity), seq=row.seq)

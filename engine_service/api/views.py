"""How the engine's state looks on the wire: it fills the shapes of ``shapes``.

Words of an enumeration stand as they are: they are text, and whoever writes the JSON knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from msgspec import UNSET

from engine_service.api.shapes import (
    CashView,
    FillView,
    InstrumentView,
    OrderView,
    PortfolioView,
    PositionView,
    PriceView,
    ReconcileView,
    RecordedEvent,
    RegimeView,
)
from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO, plain, quantise
from engine_service.domain.order import Order
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import ReconcileReport
from engine_service.runtime.regime_tape import RegimeObservation
from engine_service.storage.port import Recorded

PRICE_STEP = Decimal("1e-12")
#: Fields of events that stay in the journal.
UNTOLD: Final[Mapping[type[e.Event], tuple[str, ...]]] = {
    e.ModelStored: ("bundle",),
    e.AnswerRecorded: ("body",),
}


def fill_view(fill: Fill) -> FillView:
    """Return one fill."""
    return {
        "trade_id": fill.trade_id,
        "client_order_id": fill.client_order_id,
        "venue_order_id": fill.venue_order_id,
        "symbol": fill.symbol,
        "market": fill.market,
        "venue": fill.venue,
        "side": fill.side,
        "price": plain(fill.price),
        "quantity": plain(fill.quantity),
        "fee": plain(fill.fee),
        "fee_asset": fill.fee_asset,
        "at_ms": fill.at_ms,
        "at": fill.at_ms,
        "liquidity": fill.liquidity,
        "provisional": fill.provisional,
    }


def order_view(order: Order, fills: Sequence[Fill] = ()) -> OrderView:
    """Return one order with the fills that are known of it."""
    return order_with_fills(order, [fill_view(fill) for fill in fills])


def order_with_fills(order: Order, fills: Any) -> OrderView:
    """Return one order with the list of its fills, as views or as JSON that was written before."""
    average = order.average_price
    return {
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id,
        "symbol": order.symbol,
        "venue": order.venue,
        "market": order.market,
        "side": order.side,
        "type": order.type,
        "status": order.status,
        "quantity": _text(order.quantity),
        "quote_quantity": _text(order.quote_quantity),
        "limit_price": _text(order.limit_price),
        "stop_price": _text(order.stop_price),
        "time_in_force": order.time_in_force,
        "post_only": order.post_only,
        "reduce_only": order.reduce_only,
        "filled_quantity": plain(order.filled_quantity),
        "average_price": None if average is None else plain(average.quantize(PRICE_STEP)),
        "strategy": order.strategy,
        "tag": order.tag,
        "leg": order.leg,
        "why": dict(order.why),
        "created_at_ms": order.created_at_ms,
        "updated_at_ms": order.updated_at_ms,
        "doubt": order.doubt,
        "code": order.code,
        "reason": order.reason,
        "policy_version": order.policy_version,
        "external": order.external,
        "late_fill": order.late_fill,
        "overfill": order.overfill,
        "bracket": None if order.bracket is None else _plain_value(order.bracket),
        "fills": fills,
    }


def event_view(recorded: Recorded) -> RecordedEvent:
    """Return one journal event; a stored model is named, not repeated."""
    body = _plain_value(recorded.event)
    for name in UNTOLD.get(type(recorded.event), ()):
        del body[name]
    return {"seq": recorded.seq, "kind": recorded.kind, "at_ms": recorded.event.at_ms, "event": body}


def portfolio_view(core: EngineCore) -> PortfolioView:
    """Return cash, equity, exposure, PnL and positions at the newest marks.

    ``equity - starting_equity == realised_pnl + unrealised_pnl - fees - funding + transfers``, exactly.
    """
    portfolio, exposure = core.state.portfolio, core.state.exposure
    positions = position_views(core)
    equity = exposure.equity
    return {
        "reporting_asset": portfolio.reporting,
        "equity": plain(equity),
        "starting_equity": plain(portfolio.starting_equity),
        "realised_pnl": plain(portfolio.realised),
        "unrealised_pnl": plain(equity - portfolio.book_value),
        "fees": plain(portfolio.fees),
        "funding": plain(portfolio.funding),
        "transfers": plain(portfolio.transfers),
        "exposure_gross": plain(sum((abs(Decimal(position["value"])) for position in positions), ZERO)),
        "exposure_net": plain(sum((Decimal(position["value"]) for position in positions), ZERO)),
        "exposure_reserved": plain(exposure.totals.worst),
        "cash": _cash(core),
        "positions": positions,
        "as_of_ms": core.clock.now_ms(),
        "seq": core.journal.last_seq,
    }


def position_views(core: EngineCore) -> list[PositionView]:
    """Return every line at risk that is not flat."""
    dust = core.gate.policy.dust_value
    found: list[PositionView] = []
    for key, line in sorted(core.state.exposure.lines.items()):
        if not line.at_risk or line.quantity == 0:
            continue
        symbol = key.partition("|")[0]
        average = (line.cost / line.quantity).quantize(PRICE_STEP)
        found.append(
            {
                "symbol": symbol,
                "venue": line.venue,
                "market": line.market,
                "side": "LONG" if line.quantity > 0 else "SHORT",
                "signed_quantity": plain(line.quantity),
                "average_price": plain(average),
                "mark_price": None if line.price is None else plain(line.price),
                "value": plain(line.value),
                "unrealised_pnl": plain(line.value - line.cost),
                "dust": abs(line.value) < dust,
            }
        )
    return found


def instrument_view(instrument: Instrument) -> InstrumentView:
    """Return an instrument's trading rules."""
    return {
        "symbol": instrument.symbol,
        "venue": instrument.venue,
        "market": instrument.market,
        "base": instrument.base,
        "quote": instrument.quote,
        "tick": plain(instrument.tick),
        "step": plain(instrument.step),
        "min_quantity": plain(instrument.min_quantity),
        "max_quantity": plain(instrument.max_quantity),
        "min_notional": plain(instrument.min_notional),
        "trading": instrument.trading,
    }


def price_views(core: EngineCore) -> list[PriceView]:
    """Return the newest mark of every instrument."""
    now_s = core.clock.monotonic_s()
    return [
        {
            "symbol": mark.symbol,
            "market": mark.market,
            "bid": plain(mark.bid),
            "ask": plain(mark.ask),
            "mark": plain(mark.price) if mark.is_valid else None,
            "age_ms": mark.age_ms(now_s),
        }
        for mark in sorted(core.marks.all(), key=lambda mark: (mark.symbol, mark.market))
    ]


def regime_view(observation: RegimeObservation) -> RegimeView:
    """Return what the engine believed at one bar."""
    return {
        "open_at_ms": observation.open_at_ms,
        "close_at_ms": observation.close_at_ms,
        "price": observation.price,
        "regime": observation.regime,
        "label": observation.label,
        "posterior": list(observation.posterior),
        "model_version": observation.model_version,
    }


def reconcile_view(report: ReconcileReport) -> ReconcileView:
    """Return one comparison with every venue; ``breaks`` are the differences that stay."""
    venues = [_plain_value(venue) for venue in report.venues]
    return {
        "trigger": report.trigger,
        "at_ms": report.at_ms,
        "ok": report.ok,
        "imported": [item for venue in venues for item in venue["imported"]],
        "closed": [item for venue in venues for item in venue["closed"]],
        "adopted": [item for venue in venues for item in venue["adopted"]],
        "deferred": [item for venue in venues for item in venue["deferred"]],
        "breaks": [item for venue in venues for item in venue["breaks"]],
        "venues": venues,
    }


def _cash(core: EngineCore) -> dict[str, CashView]:
    """Return assets that are not at risk: the reporting currency on spot, every wallet on futures."""
    portfolio = core.state.portfolio
    cash: dict[str, CashView] = {}
    for key, book in sorted(portfolio.holdings.items()):
        venue, market, asset = key.split("|")
        if asset != portfolio.reporting and market == Market.SPOT.value:
            continue
        free = core.state.exposure.available(portfolio, venue, Market(market), asset)
        cash[f"{asset}.{venue}|{market}"] = {"total": plain(book.quantity), "free": plain(quantise(free))}
    return cash


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _plain_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Enum):
        return value.value
    names = getattr(value, "__struct_fields__", None) or getattr(value, "__dataclass_fields__", None)
    if names is not None:
        found = ((name, getattr(value, name)) for name in names)
        return {name: _plain_value(item) for name, item in found if item is not UNSET}
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [_plain_value(item) for item in value]
    return value

"""USD-M conditional orders: placed with the algo service, traded by an ordinary order of another id.

The engine knows one order under one venue id, the algo id. This is the only place that knows of the second: it
learns which ordinary order (the child) an algo order became, and tells its reports and fills under the algo id.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from engine_service.domain.fill import Fill
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus
from engine_service.venues.binance import params, parse_futures
from engine_service.venues.binance.params import Params
from engine_service.venues.binance.parse import Payload, named
from engine_service.venues.binance.session import BinanceSession, Call
from engine_service.venues.rate_limit import Priority
from engine_service.venues.reports import Accepted, OrderReport, SubmitOutcome

_PATH = "/fapi/v1/algoOrder"
_PLACE = Call("POST", _PATH, 0, Priority.ORDER, orders=1)
_CANCEL = Call("DELETE", _PATH, 1, Priority.ORDER)
_QUERY = Call("GET", _PATH, 1)
_OPEN = Call("GET", "/fapi/v1/openAlgoOrders", 1)
_ALL_OPEN = Call("GET", "/fapi/v1/openAlgoOrders", 40, max_bytes=16_000_000)
_REMEMBERED = 20_000
Read = Callable[[Payload], OrderReport]


@dataclass(slots=True)
class _Known:
    """``venue_order_id`` is empty while nobody has said the algo id."""

    client_order_id: str
    venue_order_id: str
    child: str = ""


class AlgoOrders:
    """Requests of the algo service, and the memory of what its orders became. Bounded; a query refills it."""

    def __init__(self, session: BinanceSession) -> None:
        self._session = session
        self._by_client: OrderedDict[str, _Known] = OrderedDict()
        self._by_child: OrderedDict[str, _Known] = OrderedDict()

    # --- requests -----------------------------------------------------------------------------------------------

    def placement(self, order: Order) -> tuple[Call, Callable[[], Params], Callable[[Payload], Accepted]]:
        return _PLACE, lambda: params.algo_order(order), lambda body: parse_futures.algo_placed(_of(body, order))

    def cancellation(self, order: Order) -> tuple[Call, Params, Callable[[Payload], Accepted]]:
        asked: Params = {"clientAlgoId": order.client_order_id}
        return _CANCEL, asked, lambda body: parse_futures.algo_canceled(_of(body, order))

    def query(self, client_order_id: str) -> tuple[Call, Params, Read]:
        return _QUERY, {"clientAlgoId": client_order_id}, self.report

    def open_orders(self) -> Call:
        return _OPEN

    def all_open_orders(self) -> Call:
        return _ALL_OPEN

    # --- what is learned ----------------------------------------------------------------------------------------

    def report(self, payload: Payload) -> OrderReport:
        """Read an algo order and remember what it became.

        Raises:
            ParseError: the payload cannot be read.
        """
        return self.learn(parse_futures.algo_report(payload), parse_futures.triggered_order_id(payload))

    def learn(self, report: OrderReport, child: str) -> OrderReport:
        """Remember which ordinary order trades for an algo order."""
        known = self._keep(report.client_order_id, report.venue_order_id)
        if child:
            known.child = child
            self._by_child[child] = known
            _trim(self._by_child)
        return report

    def expect(self, order: Order) -> None:
        """Remember an order that is about to be sent, or that a start restored: what it became may be told first.

        An order whose algo id is not known yet is asked for before a report of its child is believed.
        """
        if params.is_conditional(order):
            is_algo = order.venue_order_id.startswith(parse_futures.ALGO_PREFIX)
            self._keep(order.client_order_id, order.venue_order_id if is_algo else "")

    def is_unnamed(self, client_order_id: str) -> bool:
        """Tell whether this is a conditional order of ours whose algo id nobody has said yet."""
        known = self._by_client.get(client_order_id)
        return known is not None and not known.venue_order_id

    def placed(self, outcome: SubmitOutcome, order: Order) -> SubmitOutcome:
        if isinstance(outcome, Accepted):
            self._keep(order.client_order_id, outcome.venue_order_id)
        return outcome

    def child_of(self, client_order_id: str) -> str:
        """Return the id of the ordinary order, or nothing where none is known."""
        known = self._by_client.get(client_order_id)
        return known.child if known else ""

    def was_triggered(self, order: Order) -> bool:
        return bool(self.child_of(order.client_order_id))

    # --- telling two orders as one ------------------------------------------------------------------------------

    def as_one(self, report: OrderReport) -> OrderReport:
        """Tell a child's report under the algo order's ids; any other report stays as it is."""
        known = self._by_child.get(report.venue_order_id) or self._by_client.get(report.client_order_id)
        if known is None or known.venue_order_id in ("", report.venue_order_id):
            return report
        if not known.child:
            known.child = report.venue_order_id
            self._by_child[report.venue_order_id] = known
        resting = report.status is OrderStatus.ACCEPTED
        return replace(
            report,
            client_order_id=known.client_order_id,
            venue_order_id=known.venue_order_id,
            status=OrderStatus.TRIGGERED if resting else report.status,
            fill=self.fill(report.fill) if report.fill else None,
        )

    def fill(self, fill: Fill) -> Fill:
        """Tell a child's fill under the algo order's ids."""
        known = self._by_child.get(fill.venue_order_id)
        if known is None:
            return fill
        return replace(fill, client_order_id=known.client_order_id, venue_order_id=known.venue_order_id)

    def same_id(self, outcome: SubmitOutcome, order: Order) -> SubmitOutcome:
        """Give an answer about a child the id under which the engine knows the order."""
        known = self._by_client.get(order.client_order_id)
        if isinstance(outcome, Accepted) and known is not None and known.venue_order_id:
            return replace(outcome, venue_order_id=known.venue_order_id)
        return outcome

    def _keep(self, client_order_id: str, venue_order_id: str) -> _Known:
        known = self._by_client.get(client_order_id)
        if known is None:
            known = self._by_client[client_order_id] = _Known(client_order_id, venue_order_id)
            _trim(self._by_client)
        known.venue_order_id = known.venue_order_id or venue_order_id
        return known


def _of(payload: Payload, order: Order) -> Payload:
    return named(payload, order.client_order_id, "clientAlgoId")


def _trim(memory: OrderedDict[str, _Known]) -> None:
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)

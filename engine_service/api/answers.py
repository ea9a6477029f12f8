"""What every route answers: the shape of each success, the headers it brings, and the ways it can be refused.

Whoever adds a route names its answers here; tests hold every answer of a running engine against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine_service.api import (
    advice,
    control,
    health,
    league,
    market,
    order_answers,
    order_check,
    orders,
    portfolio,
    strategies,
)
from engine_service.api.account_view import AccountView
from engine_service.api.routes import ROUTES
from engine_service.api.shapes import InstrumentView, PortfolioView, ReconcileView
from engine_service.api.stream import EventPage, Frame

Route = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: the type of its body, ``None`` for text; ``headers`` always come with it."""

    body: Any = None
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"


def _ok(body: Any) -> Mapping[int, Answer]:
    return {200: Answer(body)}


def _placed(created: Any, doubtful: Any) -> Mapping[int, Answer]:
    return {201: Answer(created, ("Location",)), 202: Answer(doubtful, ("Location",))}


_PLACED: Final = _placed(order_answers.PlacedOrder, order_answers.DoubtfulOrder)
_LIMITS: Final = {200: Answer(market.RiskConfig, ("ETag",))}

ANSWERS: Final[Mapping[Route, Mapping[int, Answer]]] = {
    ("GET", "/healthz"): _ok(health.Health),
    ("GET", "/readyz"): {200: Answer(health.Readiness), 503: Answer(health.Readiness)},
    ("GET", "/version"): _ok(health.Version),
    ("GET", "/metrics"): {200: Answer(media_type="text/plain")},
    ("GET", "/orders"): _ok(orders.OrderPage),
    ("GET", "/orders/{client_order_id}"): _ok(orders.OrderStory),
    ("GET", "/fills"): _ok(portfolio.FillPage),
    ("GET", "/positions"): _ok(portfolio.Positions),
    ("GET", "/portfolio"): _ok(PortfolioView),
    ("GET", "/account_snapshot"): _ok(AccountView),
    ("GET", "/equity"): _ok(portfolio.EquityCurve),
    ("GET", "/events"): _ok(EventPage),
    ("GET", "/stream"): {200: Answer(Frame, media_type="text/event-stream")},
    ("GET", "/strategies"): _ok(strategies.Strategies),
    ("GET", "/strategies/{strategy}"): _ok(strategies.StrategyView),
    ("GET", "/strategies/{strategy}/regimes"): _ok(strategies.Regimes),
    ("GET", "/league"): _ok(league.League),
    ("GET", "/advice"): _ok(advice.AdviceView),
    ("GET", "/symbol_info"): _ok(InstrumentView),
    ("GET", "/prices"): _ok(market.Prices),
    ("GET", "/universe"): _ok(market.Universe),
    ("GET", "/limits"): _ok(market.Limits),
    ("GET", "/risk/config"): _LIMITS,
    ("POST", "/orders/market"): _PLACED,
    ("POST", "/orders/limit"): _PLACED,
    ("POST", "/orders/stop"): _PLACED,
    ("POST", "/orders/bracket"): _placed(order_answers.PlacedBracket, order_answers.DoubtfulBracket),
    ("POST", "/orders/check"): _ok(order_check.CheckAnswer),
    ("DELETE", "/orders/{client_order_id}"): {200: Answer(orders.CancelAnswer), 202: Answer(orders.CancelPending)},
    ("DELETE", "/orders"): _ok(orders.CancelsAnswer),
    ("PATCH", "/orders/{client_order_id}"): {200: Answer(orders.AmendAnswer), 202: Answer(orders.AmendAnswer)},
    ("POST", "/account_snapshot/refresh"): _ok(AccountView),
    ("POST", "/reconcile"): _ok(ReconcileView),
    ("POST", "/reconcile/adopt"): _ok(ReconcileView),
    ("POST", "/strategy/signal"): {202: Answer(strategies.SignalTaken)},
    ("POST", "/control/halt"): _ok(control.HaltAnswer),
    ("POST", "/control/flatten"): _ok(control.FlattenAnswer),
    ("POST", "/control/resume"): _ok(control.ResumeAnswer),
    ("POST", "/strategy/promote"): _ok(strategies.StrategyView),
    ("PUT", "/strategies/{strategy}"): _ok(strategies.StrategyView),
    ("POST", "/league"): _ok(league.League),
    ("DELETE", "/league/{version}"): _ok(league.League),
    ("PUT", "/advice"): _ok(advice.AdviceView),
    ("PUT", "/risk/config"): _LIMITS,
    ("POST", "/risk/reload"): _LIMITS,
}

#: What the gate may say of any request: framing, origin, length of the address, of the head, an unknown query, load.
_ANY: Final = frozenset({400, 403, 414, 417, 422, 431, 500, 503})
_OF_A_CALLER: Final = frozenset({401, 429})
_OF_A_BODY: Final = frozenset({408, 413, 415})
#: No such instrument, an order with this id, a halt.
_OF_AN_ORDER: Final = frozenset({404, 409, 423})

#: What some routes refuse with beside that.
_MORE: Final[Mapping[Route, frozenset[int]]] = {
    ("POST", "/orders/market"): _OF_AN_ORDER,
    ("POST", "/orders/limit"): _OF_AN_ORDER,
    ("POST", "/orders/stop"): _OF_AN_ORDER,
    ("POST", "/orders/bracket"): _OF_AN_ORDER,
    ("PATCH", "/orders/{client_order_id}"): _OF_AN_ORDER,
    ("POST", "/orders/check"): frozenset({404}),
    ("DELETE", "/orders/{client_order_id}"): frozenset({409}),
    ("POST", "/reconcile"): frozenset({409}),
    ("POST", "/reconcile/adopt"): frozenset({409}),
    ("POST", "/control/resume"): frozenset({409}),
    ("POST", "/league"): frozenset({409}),
    ("PUT", "/advice"): frozenset({404}),
    ("POST", "/strategy/signal"): frozenset({404}),
    ("POST", "/strategy/promote"): frozenset({404}),
    ("PUT", "/risk/config"): frozenset({412}),
    ("GET", "/symbol_info"): frozenset({404}),
}


def refusals_of(route: Route) -> list[int]:
    """Return every status that a route can be refused with."""
    method, path = route
    access = ROUTES[route]
    statuses = _ANY | _MORE.get(route, frozenset())
    if access.scope is not None:
        statuses |= _OF_A_CALLER
    if method != "GET" and not access.any_body:
        statuses |= _OF_A_BODY
    if access.once:
        statuses |= {409}
    if "{" in path:
        statuses |= {404}
    return sorted(statuses)

"""Every route of the engine and the scope it asks for. A route that is not listed here does not start.

The exporter role mounts only what is marked ``read``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from engine_service.api.grants import Scope

SMALL_BODY = 16 * 1024
MODEL_BODY = 4 * 1024 * 1024
ADVICE_BODY = 512 * 1024


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a route (``scope`` ``None``: anyone on this machine) and how large its body may be.

    ``any_body``: whatever comes with the request, it is carried out; what is too much of it is not read. ``also`` are
    narrower scopes that are enough here. ``once``: the gate carries a request out once under its idempotency key.
    """

    scope: Scope | None
    max_body: int = SMALL_BODY
    any_body: bool = False
    also: frozenset[Scope] = frozenset()
    once: bool = False

    @property
    def stops(self) -> bool:
        """Tell whether it takes risk away: that is carried out also where nothing can be recorded any more."""
        return Scope.CANCEL in self.also

    def admits(self, scopes: frozenset[Scope]) -> bool:
        """Tell whether a caller with these scopes may."""
        return self.scope in scopes or not self.also.isdisjoint(scopes)

    @property
    def is_read(self) -> bool:
        """Tell whether it is held to the pace of reading; what stops the engine is not."""
        return self.scope is Scope.READ and not self.any_body

    @property
    def named(self) -> str:
        """Return the scopes that are enough, in words; ``none`` where none is asked for."""
        if self.scope is None:
            return "none"
        narrower = ", ".join(sorted(self.also))
        return f"{self.scope.value}, or {narrower}" if narrower else self.scope.value


OPEN = Access(None)
READ = Access(Scope.READ)
TRADE = Access(Scope.TRADE)
ADMIN = Access(Scope.ADMIN)
CANCEL = Access(Scope.TRADE, also=frozenset({Scope.CANCEL}))
METRICS = Access(Scope.READ, also=frozenset({Scope.METRICS}))
#: Every token that is known here: whoever sees something wrong may stop the engine.
HALT = Access(Scope.READ, any_body=True, also=frozenset({Scope.CANCEL, Scope.METRICS}))

#: The one route of another protocol: it tells events and takes no orders.
SOCKETS: Mapping[str, Access] = {"/ws": READ}

#: What is sent and is not carried out once by the gate: orders, whose keys are part of what is written down of them,
#: and a question that changes nothing.
NOT_BY_THE_GATE: Final = frozenset(
    {
        ("POST", "/orders/market"),
        ("POST", "/orders/limit"),
        ("POST", "/orders/stop"),
        ("POST", "/orders/bracket"),
        ("POST", "/orders/check"),
    }
)

_ACCESS: Final[Mapping[tuple[str, str], Access]] = {
    ("GET", "/healthz"): OPEN,
    ("GET", "/livez"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/version"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/docs/favicon.png"): OPEN,
    ("GET", "/docs/swagger-ui-bundle.js"): OPEN,
    ("GET", "/docs/swagger-ui.css"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/metrics"): METRICS,
    ("GET", "/orders"): READ,
    ("GET", "/orders/{client_order_id}"): READ,
    ("GET", "/fills"): READ,
    ("GET", "/positions"): READ,
    ("GET", "/portfolio"): READ,
    ("GET", "/account_snapshot"): READ,
    ("GET", "/equity"): READ,
    ("GET", "/events"): READ,
    ("GET", "/stream"): READ,
    ("GET", "/strategies"): READ,
    ("GET", "/strategies/{strategy}"): READ,
    ("GET", "/strategies/{strategy}/regimes"): READ,
    ("GET", "/league"): READ,
    ("GET", "/advice"): READ,
    ("GET", "/symbol_info"): READ,
    ("GET", "/prices"): READ,
    ("GET", "/universe"): READ,
    ("GET", "/limits"): READ,
    ("GET", "/risk/config"): READ,
    ("POST", "/orders/market"): TRADE,
    ("POST", "/orders/limit"): TRADE,
    ("POST", "/orders/stop"): TRADE,
    ("POST", "/orders/bracket"): TRADE,
    ("POST", "/orders/check"): READ,
    ("DELETE", "/orders/{client_order_id}"): CANCEL,
    ("DELETE", "/orders"): CANCEL,
    ("PATCH", "/orders/{client_order_id}"): TRADE,
    ("POST", "/account_snapshot/refresh"): TRADE,
    ("POST", "/reconcile"): TRADE,
    ("POST", "/reconcile/manual"): TRADE,
    ("POST", "/reconcile/adopt"): ADMIN,
    ("POST", "/strategy/signal"): TRADE,
    ("POST", "/control/halt"): HALT,
    ("POST", "/control/flatten"): TRADE,
    ("POST", "/control/resume"): ADMIN,
    ("POST", "/strategy/promote"): Access(Scope.ADMIN, MODEL_BODY),
    ("PUT", "/strategies/{strategy}"): Access(Scope.ADMIN, MODEL_BODY),
    ("POST", "/league"): Access(Scope.ADMIN, MODEL_BODY),
    ("DELETE", "/league/{version}"): ADMIN,
    ("PUT", "/advice"): Access(Scope.ADMIN, ADVICE_BODY),
    ("PUT", "/risk/config"): ADMIN,
    ("POST", "/risk/reload"): ADMIN,
}

#: (method, route template) -> access. Whatever else changes something is carried out once, a new route too.
ROUTES: Final[Mapping[tuple[str, str], Access]] = {
    route: replace(access, once=route[0] != "GET" and route not in NOT_BY_THE_GATE) for route, access in _ACCESS.items()
}

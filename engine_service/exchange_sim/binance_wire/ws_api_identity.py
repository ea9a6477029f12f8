"""Who speaks on a WebSocket API connection: the key of each request, or the session logged on with Ed25519."""

from __future__ import annotations

from collections.abc import Mapping

from engine_service.exchange_sim.binance_wire.app_context import Route, Security
from engine_service.exchange_sim.binance_wire.auth import Authenticator, Signer, require, ws_payload
from engine_service.exchange_sim.enums import KeyKind, Market, Permission
from engine_service.exchange_sim.errors import ExchangeError, missing_parameter


class Identity:
    """The log-on of one connection and the check of its requests."""

    def __init__(self, auth: Authenticator, market: Market) -> None:
        self._auth = auth
        self._market = market
        self.logon: Signer | None = None
        self.authorized_ms: int | None = None

    def log_on(self, params: Mapping[str, str], now_ms: int) -> None:
        """`session.logon`. Raises -4056 for a key that is not Ed25519, and what `signed` raises."""
        signer = self.signed(params, Permission.READ)
        if signer.key.kind is not KeyKind.ED25519:
            raise ExchangeError(-4056, "HMAC_SHA256 API key is not supported.")
        self.logon, self.authorized_ms = signer, now_ms

    def log_out(self) -> None:
        """`session.logout`."""
        self.logon, self.authorized_ms = None, None

    def signed(self, params: Mapping[str, str], permission: Permission) -> Signer:
        """The sender of a request that carries its own key and signature."""
        if not params.get("apiKey"):
            raise missing_parameter("apiKey")
        return self._auth.signed(params["apiKey"], ws_payload(params), params, permission)

    def signer(self, route: Route, params: Mapping[str, str]) -> Signer | None:
        """Who asks for a route: the request's own key, or the session's where it brings none."""
        if route.security is Security.NONE:
            return None
        if self.logon is not None and "apiKey" not in params and "signature" not in params:
            return self._of_session(self.logon, route, params)
        if route.security is not Security.KEY:
            return self.signed(params, self._permission(route))
        if not params.get("apiKey"):
            raise missing_parameter("apiKey")
        return self._auth.by_key(params["apiKey"])

    def _of_session(self, logon: Signer, route: Route, params: Mapping[str, str]) -> Signer:
        """A session saves key and signature, not the time stamp."""
        if route.security is Security.KEY:
            return logon
        if not params.get("timestamp"):
            raise missing_parameter("timestamp")
        self._auth.check_time(params)
        require(logon, self._permission(route))
        return logon

    def _permission(self, route: Route) -> Permission:
        if route.security is Security.DATA:
            return Permission.READ
        return Permission.SPOT if self._market is Market.SPOT else Permission.FUTURES

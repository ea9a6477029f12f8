"""The door for everyone outside the engine: its REST API as a typed, synchronous client."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from engine_service.client.errors import (
    AccessRefused,
    EngineAnswered,
    EngineFailed,
    EngineUnreachable,
    OrderRefused,
    RequestInvalid,
    TryLater,
)
from engine_service.contract.codes import ACCESS, RAILS

PAGE = 500
RECONCILE_PAUSE_S = 0.5
Samples = dict[str, list[tuple[dict[str, str], float]]]


class EngineClient:
    """One engine. Every method raises a subclass of ``EngineClientError``; no method retries an order."""

    def __init__(self, base_url: str, token: str, *, timeout_s: float = 15.0) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
            trust_env=False,
            follow_redirects=False,
        )

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection pool."""
        self._http.close()

    # --- reading ---------------------------------------------------------------------------------------------

    def get_health(self) -> dict[str, Any]:
        """Return ``/readyz`` whatever its status."""
        return dict(self._send("GET", "/readyz", accept=(200, 503)).json())

    def get_version(self) -> dict[str, Any]:
        """Return what runs."""
        return self._json("GET", "/version")

    def get_portfolio(self) -> dict[str, Any]:
        """Return cash, equity, PnL, exposure and positions; money as decimal text."""
        return self._json("GET", "/portfolio")

    def get_fills(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield fills with a larger ``seq`` than ``after``, oldest first, over all pages."""
        while True:
            page = self._json("GET", "/fills", params={"after": after, "limit": PAGE})["fills"]
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1]["seq"]

    def list_orders(self, **filters: str) -> Iterator[dict[str, Any]]:
        """Yield orders, newest first, over all pages; filters as ``GET /orders`` takes them."""
        yield from self._pages("/orders", "orders", filters)

    def get_order(self, client_order_id: str) -> dict[str, Any]:
        """Return one order with its history."""
        return self._json("GET", f"/orders/{client_order_id}")

    def get_prices(self) -> list[dict[str, Any]]:
        """Return the newest marks."""
        return list(self._json("GET", "/prices")["prices"])

    def get_universe(self) -> dict[str, list[str]]:
        """Return the instruments ``watched`` by the strategies, and those ``listed`` by the venue."""
        return self._json("GET", "/universe")

    def get_instrument(self, symbol: str) -> dict[str, Any]:
        """Return an instrument's trading rules; amounts as decimal text."""
        return self._json("GET", "/symbol_info", params={"symbol": symbol})

    def get_strategies(self) -> list[dict[str, Any]]:
        """Return every strategy."""
        return list(self._json("GET", "/strategies")["strategies"])

    def get_strategy(self, strategy: str) -> dict[str, Any]:
        """Return one strategy."""
        return self._json("GET", f"/strategies/{strategy}")

    def get_regimes(self, strategy: str = "hmm_regime") -> dict[str, list[dict[str, Any]]]:
        """Return the engine's own filtered regimes by symbol."""
        return dict(self._json("GET", f"/strategies/{strategy}/regimes")["regimes"])

    def get_league(self) -> dict[str, Any]:
        """Return the shadow league: champion, costs, rank and standings by symbol."""
        return self._json("GET", "/league")

    def get_equity(self, since_ms: int = 0) -> list[dict[str, Any]]:
        """Return the recorded equity curve, from a time of the last 31 days on or all of it."""
        span = {"since_ms": str(since_ms)} if since_ms else {}
        return list(self._pages("/equity", "points", span))

    def get_risk_config(self) -> dict[str, Any]:
        """Return the limits in force."""
        return self._json("GET", "/risk/config")

    def get_account_snapshot(self, *, force: bool = False) -> dict[str, Any]:
        """Return the venue's own view of the account."""
        return self._json("GET", "/account_snapshot", params={"force": "true" if force else "false"})

    def events(self, after: int = 0, limit: int = PAGE) -> list[dict[str, Any]]:
        """Return one page of journal events after a sequence number."""
        return list(self._json("GET", "/events", params={"after": after, "limit": limit})["events"])

    def get_metrics(self) -> Samples:
        """Return every sample by name as (labels, value)."""
        samples: Samples = {}
        for family in text_string_to_metric_families(self._send("GET", "/metrics").text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((dict(sample.labels), float(sample.value)))
        return samples

    # --- changing --------------------------------------------------------------------------------------------

    def place_market_order(
        self,
        symbol: str,
        side: str,
        *,
        quantity: Decimal | None = None,
        quote: Decimal | None = None,
        key: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Place a market order of ``quantity`` (base) or for ``quote``; pass ``key`` to make a retry safe."""
        body = {"symbol": symbol, "side": side, **fields}
        body |= {name: str(value) for name, value in (("quantity", quantity), ("quote", quote)) if value is not None}
        return self._order("/orders/market", body, key)

    def place_limit_order(
        self, symbol: str, side: str, quantity: Decimal, price: Decimal, *, key: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Place a limit order."""
        body = {"symbol": symbol, "side": side, "quantity": str(quantity), "price": str(price), **fields}
        return self._order("/orders/limit", body, key)

    def place_stop_order(
        self,
        symbol: str,
        side: str,
        quantity: Decimal,
        stop_price: Decimal,
        *,
        kind: str = "stop",
        price: Decimal | None = None,
        key: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Place a ``stop`` or ``take_profit`` order: at market once triggered, or at ``price``."""
        amounts = {"quantity": quantity, "stop_price": stop_price, "price": price}
        body = {"symbol": symbol, "side": side, "kind": kind, **_texts(amounts), **fields}
        return self._order("/orders/stop", body, key)

    def place_bracket(
        self,
        symbol: str,
        side: str,
        *,
        quantity: Decimal | None = None,
        quote: Decimal | None = None,
        price: Decimal | None = None,
        take_profit_bps: Decimal | None = None,
        stop_loss_bps: Decimal | None = None,
        take_profit_price: Decimal | None = None,
        stop_loss_price: Decimal | None = None,
        key: str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Place an entry (market, or limit at ``price``) with its take-profit and stop-loss."""
        amounts = {
            "quantity": quantity,
            "quote": quote,
            "price": price,
            "take_profit_bps": take_profit_bps,
            "stop_loss_bps": stop_loss_bps,
            "take_profit_price": take_profit_price,
            "stop_loss_price": stop_loss_price,
        }
        return self._order("/orders/bracket", {"symbol": symbol, "side": side, **_texts(amounts), **fields}, key)

    def check_order(self, kind: str, symbol: str, side: str, **fields: Any) -> dict[str, Any]:
        """Ask every rail about a ``market``, ``limit`` or ``stop`` order; nothing is sent."""
        return self._json("POST", "/orders/check", body={"type": kind, "symbol": symbol, "side": side, **fields})

    def amend_order(
        self, client_order_id: str, *, price: Decimal | None = None, quantity: Decimal | None = None
    ) -> dict[str, Any]:
        """Change the price or the quantity of a working order; the answer names the order that works now."""
        return self._json("PATCH", f"/orders/{client_order_id}", body=_texts({"price": price, "quantity": quantity}))

    def cancel_orders(self, *, symbol: str = "", strategy: str = "") -> list[dict[str, Any]]:
        """Cancel every working order, of a symbol and a strategy where they are named."""
        params = {name: value for name, value in (("symbol", symbol), ("strategy", strategy)) if value}
        return list(self._json("DELETE", "/orders", params=params)["orders"])

    def cancel_order(self, client_order_id: str) -> dict[str, Any]:
        """Cancel one order."""
        return self._json("DELETE", f"/orders/{client_order_id}")

    def put_strategy(self, strategy: str, **changes: Any) -> dict[str, Any]:
        """Change a strategy: ``enabled``, ``dry_run``, ``budget``, ``weight``, ``model``, ``reason``."""
        body = {name: str(value) if isinstance(value, Decimal) else value for name, value in changes.items()}
        return self._json("PUT", f"/strategies/{strategy}", body=body)

    def put_risk_config(self, changes: Mapping[str, object], reason: str = "") -> dict[str, Any]:
        """Change some limits."""
        return self._json("PUT", "/risk/config", body={**changes, **({"reason": reason} if reason else {})})

    def put_advice(self, *, valid_s: int, reason: str = "", **rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """Advise on entries for so many seconds: ``tactics`` (how to send them), ``sizes`` (how large), or both."""
        named = {"reason": reason} if reason else {}
        return self._json("PUT", "/advice", body={**rows, "valid_s": str(valid_s), **named})

    def get_advice(self) -> dict[str, Any]:
        """Return the tactics and sizes that are valid now."""
        return self._json("GET", "/advice")

    def enter_league(self, model: Mapping[str, Any], reason: str = "") -> dict[str, Any]:
        """Let a model bundle be judged on live bars, unfunded."""
        return self._json("POST", "/league", body={"model": model, **({"reason": reason} if reason else {})})

    def reconcile(self, *, wait_s: float = 30.0) -> dict[str, Any]:
        """Compare engine and venue now; where a comparison is running, wait up to ``wait_s`` for its end first.

        Raises:
            RequestInvalid: it is still running then (``RECONCILE_RUNNING``).
        """
        deadline = time.monotonic() + wait_s
        while True:
            try:
                return self._json("POST", "/reconcile")
            except RequestInvalid as error:
                if error.code != "RECONCILE_RUNNING" or time.monotonic() >= deadline:
                    raise
            time.sleep(RECONCILE_PAUSE_S)

    def adopt(self, reason: str) -> dict[str, Any]:
        """Compare, and take over what no trade explains; needs the admin token."""
        return self._json("POST", "/reconcile/adopt", body={"reason": reason})

    def halt(self, reason: str) -> dict[str, Any]:
        """Stop all new risk until a person resumes."""
        return self._json("POST", "/control/halt", body={"reason": reason})

    def resume(self, reason: str) -> dict[str, Any]:
        """Lift a halt."""
        return self._json("POST", "/control/resume", body={"reason": reason})

    def flatten(self, reason: str) -> dict[str, Any]:
        """Close every position by reduce-only orders."""
        return self._json("POST", "/control/flatten", body={"reason": reason})

    # --- transport -------------------------------------------------------------------------------------------

    def _order(self, path: str, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return dict(self._send("POST", path, body=body, headers=headers, accept=(200, 201, 202)).json())

    def _pages(self, path: str, name: str, filters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        params: dict[str, Any] = {**filters, "limit": PAGE}
        while True:
            answer = self._json("GET", path, params=params)
            yield from answer[name]
            if not answer["cursor"]:
                return
            params["cursor"] = answer["cursor"]

    def _json(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return dict(self._send(method, path, params=params, body=body, accept=(200, 201, 202)).json())

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (200,),
    ) -> httpx.Response:
        try:
            response = self._http.request(method, path, params=params, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise EngineUnreachable(type(error).__name__) from error
        if response.status_code in accept:
            return response
        raise _error(response)


def _texts(amounts: Mapping[str, Decimal | None]) -> dict[str, str]:
    return {name: str(value) for name, value in amounts.items() if value is not None}


def _error(response: httpx.Response) -> EngineAnswered:
    status = response.status_code
    json_type = response.headers.get("content-type", "").startswith("application/")
    problem: dict[str, Any] = response.json() if json_type and response.content else {}
    code = str(problem.get("code", "INTERNAL"))
    kind = _kind(status, code)
    retry_after = response.headers.get("retry-after", "")
    return kind(
        status,
        code,
        str(problem.get("detail", f"HTTP {status}")),
        request_id=str(problem.get("request_id", "")),
        numbers=problem.get("numbers"),
        retry_after_s=int(retry_after) if retry_after.isdigit() else None,
    )


def _kind(status: int, code: str) -> type[EngineAnswered]:
    if status in (429, 503):
        return TryLater
    if status >= 500:
        return EngineFailed
    if code in ACCESS or status == 401:
        return AccessRefused
    return OrderRefused if code in RAILS else RequestInvalid

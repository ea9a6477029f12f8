"""Faults on order: what the wire layers must do wrong, asked at fixed points.

A fault is set by `POST /_sim/faults` as a `Fault`. Kinds:

| kind | effect | fields |
|---|---|---|
| `delay` | the request waits `delay_ms` before it is handled | delay_ms |
| `delay_answer` | handled at once, answered after `delay_ms` | delay_ms |
| `drop_before` | connection closed, request never handled | |
| `drop_after` | request handled, connection closed without an answer | |
| `error` | refused before it is handled | http_status, code, message, retry_after_s |
| `error_after` | handled, then answered with that error (execution unknown) | the same |
| `maintenance` | every request 503 | |
| `rate_limit` | 429 with Retry-After (`http_status` 418 for a ban) | http_status, retry_after_s |
| `disconnect` | streams are closed at once; `market`, `stream` select | stream: `public`, `user` or empty |
| `duplicate` | an account report is sent twice (the second after `delay_ms`) | delay_ms |
| `reorder` | a report waits up to `delay_ms` (default 250), so later ones overtake it | delay_ms |
| `withhold` | a report is not sent (with `delay_ms`: sent that much later) | delay_ms |
| `clock_skew` | the exchange's clock is `skew_ms` ahead (negative: behind) | skew_ms |

Matching, all optional: `path` (the request's path, or for the WebSocket API its method such as `order.place`;
a trailing `*` matches any rest), `method` (GET, POST, ..., `WS`), `symbol`, `market`, `account`, `event`
(reports: executionReport, ORDER_TRADE_UPDATE, ...). `probability` 0..1 with the exchange's seed; `count` = how
often it strikes before it is gone (none: until cleared).

Hook points: the REST layer and the WebSocket API call `before_request` once per request and carry out the plan
that it returns; the stream layer calls `reports` for each account report about to be sent, and registers itself
with `on_disconnect`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from engine_service.exchange_sim.enums import Market


class FaultKind(StrEnum):
    DELAY = "delay"
    DELAY_ANSWER = "delay_answer"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    ERROR = "error"
    ERROR_AFTER = "error_after"
    MAINTENANCE = "maintenance"
    RATE_LIMIT = "rate_limit"
    DISCONNECT = "disconnect"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    WITHHOLD = "withhold"
    CLOCK_SKEW = "clock_skew"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as set; see the module's table."""

    kind: FaultKind
    fault_id: int = 0
    path: str = ""
    method: str = ""
    symbol: str = ""
    market: str = ""
    account: str = ""
    event: str = ""
    stream: str = ""
    probability: float = 1.0
    count: int | None = None
    delay_ms: int | None = None
    http_status: int | None = None
    code: int | None = None
    message: str | None = None
    retry_after_s: int | None = None
    skew_ms: int = 0


@dataclass(frozen=True, slots=True)
class FaultAnswer:
    """An answer to give instead of the real one."""

    http_status: int
    code: int
    message: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """What to do with one request, in this order.

    1. sleep `delay_ms`; 2. if `drop_before`: close the connection, stop; 3. if `answer_before`: answer it, stop;
    4. handle the request; 5. sleep `delay_answer_ms`; 6. if `drop_after`: close the connection without a byte;
    7. if `answer_after`: answer that instead of the real answer.
    """

    delay_ms: int = 0
    drop_before: bool = False
    answer_before: FaultAnswer | None = None
    delay_answer_ms: int = 0
    drop_after: bool = False
    answer_after: FaultAnswer | None = None


CLEAR = RequestPlan()

# Answers of each kind where the fault does not say: HTTP status, code, message.
_DEFAULT_ANSWERS = {
    FaultKind.ERROR: (400, -1000, "An unknown error occurred while processing the request."),
    FaultKind.ERROR_AFTER: (
        503,
        -1000,
        "Unknown error, please check your request or try again later.",
    ),
    FaultKind.MAINTENANCE: (503, -1016, "This service is no longer available."),
    FaultKind.RATE_LIMIT: (
        429,
        -1003,
        "Too many requests; current limit of IP is exceeded. Please use WebSocket Streams for live updates.",
    ),
}
_REQUEST_KINDS = frozenset(
    {
        FaultKind.DELAY,
        FaultKind.DELAY_ANSWER,
        FaultKind.DROP_BEFORE,
        FaultKind.DROP_AFTER,
        FaultKind.ERROR,
        FaultKind.ERROR_AFTER,
        FaultKind.MAINTENANCE,
        FaultKind.RATE_LIMIT,
    }
)
_REPORT_KINDS = frozenset({FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.WITHHOLD})

DisconnectCallback = Callable[[str, str], None]
"""Called with (market or '', stream `public`/`user` or ''): close the streams that fit."""


class Faults:
    """The faults in force, and the hook points."""

    def __init__(self, seed: int = 0) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - repeatable faults, nothing secret
        self._ids = itertools.count(1)
        self._faults: dict[int, Fault] = {}
        self._disconnect: list[DisconnectCallback] = []

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force; `disconnect` strikes at once and is not kept. Returns it with its id."""
        kept = replace(fault, fault_id=next(self._ids))
        if kept.kind is FaultKind.DISCONNECT:
            for callback in self._disconnect:
                callback(kept.market, kept.stream)
            return kept
        self._faults[kept.fault_id] = kept
        return kept

    def remove(self, fault_id: int) -> bool:
        """Lift one fault; False when there is none under that id."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> int:
        """Lift all; returns how many there were."""
        count = len(self._faults)
        self._faults.clear()
        return count

    def listed(self) -> tuple[Fault, ...]:
        return tuple(self._faults.values())

    @property
    def clock_skew_ms(self) -> int:
        if not self._faults:
            return 0
        return sum(f.skew_ms for f in self._faults.values() if f.kind is FaultKind.CLOCK_SKEW)

    def on_disconnect(self, callback: DisconnectCallback) -> None:
        """Register the stream layer."""
        self._disconnect.append(callback)

    def before_request(
        self,
        path: str,
        method: str,
        params: Mapping[str, str],
        market: Market | None = None,
        account: str = "",
    ) -> RequestPlan:
        """The plan for one request. Call once per request: it uses up counts and chance."""
        if not self._faults:
            return CLEAR
        plan = CLEAR
        subject = _Subject(path, method, params.get("symbol", ""), market or "", account)
        for fault in self._striking(_REQUEST_KINDS, subject):
            plan = _with_fault(plan, fault)
        return plan

    def reports(self, event: str, market: Market, account: str, symbol: str = "") -> tuple[int, ...]:
        """When to send one account report: delays in ms, one per copy; `(0,)` is normal, `()` never.

        Args:
            event: the report's wire name (`executionReport`, `ORDER_TRADE_UPDATE`, ...).
        """
        if not self._faults:
            return (0,)
        sends: tuple[int, ...] = (0,)
        for fault in self._striking(_REPORT_KINDS, _Subject("", "", symbol, market, account, event)):
            sends = self._delivery(fault, sends)
        return sends

    def _delivery(self, fault: Fault, sends: tuple[int, ...]) -> tuple[int, ...]:
        if fault.kind is FaultKind.DUPLICATE:
            return (*sends, fault.delay_ms or 0)
        if fault.kind is FaultKind.WITHHOLD:
            return () if fault.delay_ms is None else tuple(ms + fault.delay_ms for ms in sends)
        wait = self._chance.randrange((fault.delay_ms or 250) + 1)
        return tuple(ms + wait for ms in sends)

    def _striking(self, kinds: frozenset[FaultKind], subject: _Subject) -> list[Fault]:
        struck = []
        for fault in list(self._faults.values()):
            if fault.kind not in kinds or not subject.fits(fault):
                continue
            if fault.probability < 1 and self._chance.random() >= fault.probability:
                continue
            self._use_up(fault)
            struck.append(fault)
        return struck

    def _use_up(self, fault: Fault) -> None:
        if fault.count is None:
            return
        if fault.count <= 1:
            del self._faults[fault.fault_id]
        else:
            self._faults[fault.fault_id] = replace(fault, count=fault.count - 1)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a fault may match against."""

    path: str
    method: str
    symbol: str
    market: str
    account: str
    event: str = ""

    def fits(self, fault: Fault) -> bool:
        return (
            _path_fits(fault.path, self.path)
            and fault.method.upper() in ("", self.method.upper())
            and fault.symbol in ("", self.symbol)
            and fault.market in ("", self.market)
            and fault.account in ("", self.account)
            and fault.event in ("", self.event)
        )


def _path_fits(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return pattern in ("", path)


def _with_fault(plan: RequestPlan, fault: Fault) -> RequestPlan:
    if fault.kind is FaultKind.DELAY:
        return replace(plan, delay_ms=plan.delay_ms + (fault.delay_ms or 0))
    if fault.kind is FaultKind.DELAY_ANSWER:
        return replace(plan, delay_answer_ms=plan.delay_answer_ms + (fault.delay_ms or 0))
    if fault.kind is FaultKind.DROP_BEFORE:
        return replace(plan, drop_before=True)
    if fault.kind is FaultKind.DROP_AFTER:
        return replace(plan, drop_after=True)
    if fault.kind is FaultKind.ERROR_AFTER:
        return replace(plan, answer_after=_answer(fault))
    return replace(plan, answer_before=_answer(fault))


def _answer(fault: Fault) -> FaultAnswer:
    status, code, message = _DEFAULT_ANSWERS[fault.kind]
    if fault.kind is FaultKind.RATE_LIMIT and fault.http_status == 418:
        message = "Way too many requests; IP banned. Please use WebSocket Streams for live updates."
    retry = fault.retry_after_s
    if retry is None and fault.kind is FaultKind.RATE_LIMIT:
        retry = 1
    return FaultAnswer(
        http_status=status if fault.http_status is None else fault.http_status,
        code=code if fault.code is None else fault.code,
        message=message if fault.message is None else fault.message,
        retry_after_s=retry,
    )

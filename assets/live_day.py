"""One UTC day of the engine's journal as far as its decisions go: what was wanted, and what became of it."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from assets.intervals import Span
from strategies.research.parity import NOTHING, Filled

PAGE = 500
FEE_STEP = Decimal("1e-12")
REGIME = "hmm_regime"
#: The legs that a signal asks for; every other one protects or closes.
SIGNAL_LEGS = ("entry", "exit")
EXTERNAL = "external"
#: In place of a leg: the order is older than the day, only its fills are known.
EARLIER = "earlier"

#: A decision: strategy, symbol, open of the bar (ms).
Key = tuple[str, str, int]


class JournalEvents(Protocol):
    """The engine's journal, page by page."""

    def get_portfolio(self) -> dict[str, Any]:
        """Return the portfolio; ``seq`` is the newest event's number."""

    def events(self, after: int = 0, limit: int = PAGE) -> list[dict[str, Any]]:
        """Return one page of journal events after a sequence number."""


@dataclass(slots=True, kw_only=True)
class LiveOrder:
    """An order of a strategy. ``bar_open_ms`` is that of its signal's bar, ``None`` where no signal asked for it;
    ``mark`` the price it was sent at, in quote units; ``refused`` the code of who refused it."""

    order_id: str
    strategy: str
    symbol: str
    leg: str
    at_ms: int
    bar_open_ms: int | None
    mark: Decimal | None
    external: bool
    filled: Filled = NOTHING
    refused: str = ""

    @property
    def key(self) -> Key | None:
        """Return the decision behind it, ``None`` where it was no decision of the strategy itself."""
        if self.bar_open_ms is None or self.external or self.leg not in SIGNAL_LEGS:
            return None
        return (self.strategy, self.symbol, self.bar_open_ms)


@dataclass(slots=True, kw_only=True)
class LiveDay:
    """What the journal says of a span of time.

    ``signals`` are decisions that were spoken, ``kept_back`` those that were not sent, and why; ``versions`` (from ms,
    version) the models put in force; ``alive_ms`` when the engine wrote anything; ``since_ms`` the first moment that
    the journal knows of.
    """

    since_ms: int
    orders: dict[str, LiveOrder] = field(default_factory=dict)
    signals: set[Key] = field(default_factory=set)
    kept_back: dict[Key, str] = field(default_factory=dict)
    versions: list[tuple[int, str]] = field(default_factory=list)
    alive_ms: list[int] = field(default_factory=list)

    def was_up(self, at_ms: int, within_ms: int) -> bool:
        """Tell whether the engine wrote anything within so many milliseconds of a time."""
        at = bisect_left(self.alive_ms, at_ms)
        return any(abs(at_ms - alive) <= within_ms for alive in self.alive_ms[max(0, at - 1) : at + 1])


def read_day(engine: JournalEvents, span: Span) -> LiveDay:
    """Return what the journal holds of a span; it begins with the journal's first event where that came later."""
    oldest = engine.events(after=0, limit=1)
    since_ms = max(span.start_ms, oldest[0]["at_ms"] if oldest else span.end_ms)
    return live_day(_events_of(engine, span, int(engine.get_portfolio()["seq"])), since_ms)


def live_day(events: Iterable[Mapping[str, Any]], since_ms: int) -> LiveDay:
    """Return what the events of a span say."""
    day = LiveDay(since_ms=since_ms)
    for row in events:
        day.alive_ms.append(row["at_ms"])
        take = _READERS.get(row["kind"])
        if take is not None:
            take(day, row["event"])
    return day


def number_before(engine: JournalEvents, at_ms: int, last: int) -> int:
    """Return the number of the last event before a time, 0 where there is none: by bisection over the numbers."""
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        found = engine.events(after=middle, limit=1)
        if found and found[0]["at_ms"] < at_ms:
            low = middle + 1
        else:
            high = middle
    return low


def _events_of(engine: JournalEvents, span: Span, last: int) -> Iterator[Mapping[str, Any]]:
    after = number_before(engine, span.start_ms, last)
    while after < last:
        page = engine.events(after=after, limit=PAGE)
        for row in page:
            if row["at_ms"] >= span.end_ms:
                return
            yield row
        if not page:
            return
        after = page[-1]["seq"]


# --- events -----------------------------------------------------------------------------------------------------


def _initialized(day: LiveDay, event: Mapping[str, Any]) -> None:
    order = event["order"]
    why = order["why"]
    day.orders[event["client_order_id"]] = LiveOrder(
        order_id=event["client_order_id"],
        strategy=order["strategy"],
        symbol=order["symbol"],
        leg=order["leg"],
        at_ms=event["at_ms"],
        bar_open_ms=int(why["bar_open_ms"]) if "bar_open_ms" in why else None,
        mark=Decimal(why["mark"]) if "mark" in why else None,
        external=why.get("source") == EXTERNAL,
    )


def _refused(day: LiveDay, event: Mapping[str, Any]) -> None:
    order = day.orders.get(event["client_order_id"])
    if order is not None:
        order.refused = event["code"]


def _filled(day: LiveDay, event: Mapping[str, Any], sign: int = 1) -> None:
    fill = event["fill"]
    order = day.orders.get(event["client_order_id"])
    if order is None:
        # Sent before this span: who wanted it is known, the decision behind it is not of this day.
        order = day.orders[event["client_order_id"]] = LiveOrder(
            order_id=event["client_order_id"],
            strategy=event["strategy"],
            symbol=fill["symbol"],
            leg=EARLIER,
            at_ms=event["at_ms"],
            bar_open_ms=None,
            mark=None,
            external=False,
        )
    signed = Decimal(fill["quantity"]) * (1 if fill["side"] == "BUY" else -1) * sign
    fee = (Decimal(fill["fee"]) * Decimal(event["fee_rate"]) / Decimal(event["quote_rate"])).quantize(FEE_STEP)
    before = order.filled
    order.filled = Filled(
        quantity=before.quantity + signed,
        value=before.value + signed * Decimal(fill["price"]),
        fee=before.fee + fee * sign,
    )


def _reversed(day: LiveDay, event: Mapping[str, Any]) -> None:
    _filled(day, event, sign=-1)


def _signal(day: LiveDay, event: Mapping[str, Any]) -> None:
    if event["evidence"].get("source") != EXTERNAL:
        day.signals.add((event["strategy"], event["symbol"], event["bar_open_ms"]))


def _dry_run(day: LiveDay, event: Mapping[str, Any]) -> None:
    _keep_back(day, event, "dry run")


def _skipped(day: LiveDay, event: Mapping[str, Any]) -> None:
    _keep_back(day, event, f"kept back: {event['reason']}")


def _keep_back(day: LiveDay, event: Mapping[str, Any], reason: str) -> None:
    if "bar_open_ms" in event["why"]:
        day.kept_back[(event["strategy"], event["symbol"], int(event["why"]["bar_open_ms"]))] = reason


def _strategy_changed(day: LiveDay, event: Mapping[str, Any]) -> None:
    version = event["model_version"]
    if event["strategy"] == REGIME and version and version not in [known for _, known in day.versions[-1:]]:
        day.versions.append((event["at_ms"], version))


_READERS = {
    "OrderInitialized": _initialized,
    "OrderDenied": _refused,
    "OrderRejected": _refused,
    "OrderFilled": _filled,
    "OrderFillReversed": _reversed,
    "SignalEmitted": _signal,
    "IntentDryRun": _dry_run,
    "IntentSkipped": _skipped,
    "StrategyChanged": _strategy_changed,
}

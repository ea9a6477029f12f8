"""What the engine says against what the exchange knows. Pure: rows in, findings out; no finding means a pass.

The exchange's ledger is the truth. Figures are compared as decimals, to the last digit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from engine_service.domain.fill import REVERSED
from engine_service.domain.ids import Market
from tests.faults.load import AWAY, Answer, Intent

Row = Mapping[str, Any]

#: The exchange's words for an order in ours.
STATUS = {"NEW": "ACCEPTED", "EXPIRED_IN_MATCH": "EXPIRED"}
#: Orders that the exchange never took: it must know nothing of them.
NEVER_TAKEN = frozenset({"DENIED", "REJECTED", "NOT_PLACED"})
UNSETTLED = frozenset({"INITIALIZED", "SUBMITTED", "PENDING_ACK", "PENDING_CANCEL", "PENDING_UPDATE", "IN_DOUBT"})
#: Answers without an order that a caller may get while the engine starts, stops or is asked twice at once.
TRY_AGAIN = AWAY | {"IDEMPOTENCY_IN_PROGRESS"}
#: What an account's money may change by besides trades. A USD-M wallet has eight digits, a fill's share of it more.
BOOKED = {Market.SPOT: frozenset({"opening"}), Market.FUTURES: frozenset({"opening", "rounding"})}
#: Facts that a sound run leaves none of.
NEVER_SEEN = frozenset({"BreakFound", "PositionAdopted", "TradingHalted", "ExternalOrderAdopted", "OrderQuarantined"})
#: The one anomaly that foul weather makes: reads of trades failed for five seconds. What became of it the fills tell.
STOOD_IN = "provisional_fill"
_FILL = ("trade_id", "client_order_id", "side", "price", "quantity", "fee", "fee_asset")


@dataclass(frozen=True)
class Finding:
    """One broken promise: which, about what, and the figures."""

    kind: str
    subject: str
    detail: str = ""


@dataclass(kw_only=True)
class Evidence:
    """Everything that was said. ``ledger`` is the exchange's; orders, fills, portfolio and events the engine's."""

    intents: Sequence[Intent]
    cancels: Sequence[tuple[str, Answer]]
    orders: Sequence[Row]
    fills: Sequence[Row]
    portfolio: Row
    reconciliation: Row
    events: Sequence[Row]
    ledger: Mapping[str, Sequence[Row]]
    market: Market = Market.SPOT
    account: str = "demo"
    #: Codes of answers without an order that were to be expected.
    refusals: frozenset[str] = TRY_AGAIN
    by_id: dict[str, Row] = field(init=False)
    by_tag: dict[str, list[Row]] = field(init=False)
    venue_orders: dict[str, Row] = field(init=False)

    def __post_init__(self) -> None:
        self.by_id = {order["client_order_id"]: order for order in self.orders}
        self.by_tag = defaultdict(list)
        for order in self.orders:
            self.by_tag[order["tag"]].append(order)
        self.venue_orders = {row["client_order_id"]: row for row in self.rows("orders")}

    def rows(self, table: str) -> list[Row]:
        """The account's rows of a ledger table, in the market that the engine trades."""
        rows = self.ledger[table]
        return [row for row in rows if row["account"] == self.account and row["market"] == self.market]


def judge(evidence: Evidence) -> list[Finding]:
    """Return every broken promise."""
    return [
        *_doubles(evidence),
        *_answers(evidence),
        *_cancels(evidence),
        *_orders(evidence),
        *_fills(evidence),
        *_books(evidence),
        *_journal(evidence),
    ]


def _doubles(evidence: Evidence) -> Iterator[Finding]:
    """At most one order of the engine for a key, and at most one at the exchange for that."""
    for client_order_id, times in Counter(row["client_order_id"] for row in evidence.rows("orders")).items():
        if times > 1:
            yield Finding("placed twice", client_order_id, f"{times} orders at the exchange")
        if client_order_id not in evidence.by_id:
            yield Finding("stranger", client_order_id, "at the exchange, not in the engine")
    keys = {intent.key for intent in evidence.intents}
    for tag, orders in evidence.by_tag.items():
        if tag not in keys:
            yield Finding("stranger", tag, "an order that nobody asked for")
        if len(orders) > 1:
            yield Finding("ordered twice", tag, f"{len(orders)} orders in the engine")


def _answers(evidence: Evidence) -> Iterator[Finding]:
    """Every answer was true: what was acknowledged is there, what was refused is not, and always the same order."""
    trades = {(row["client_order_id"], str(row["trade_id"])): row for row in evidence.rows("trades")}
    for intent in evidence.intents:
        named = {answer.client_order_id for answer in intent.answers} - {""}
        if len(named) > 1:
            yield Finding("answers disagree", intent.key, ", ".join(sorted(named)))
        for client_order_id in named - evidence.by_id.keys():
            yield Finding("acknowledged and lost", intent.key, client_order_id)
        for answer in intent.answers:
            yield from _answer(evidence, intent, answer, trades)


def _answer(
    evidence: Evidence, intent: Intent, answer: Answer, trades: Mapping[tuple[str, str], Row]
) -> Iterator[Finding]:
    at_exchange = answer.client_order_id in evidence.venue_orders
    if answer.status == 201 and not at_exchange:
        yield Finding("acknowledged and absent", intent.key, answer.client_order_id)
    if answer.status in {403, 422, 503} and answer.client_order_id and at_exchange:
        yield Finding("refused and placed", intent.key, f"{answer.code} {answer.client_order_id}")
    if not answer.client_order_id and answer.code not in evidence.refusals:
        yield Finding("unexpected answer", intent.key, f"{answer.status} {answer.code} {answer.body.get('detail')}")
    for fill in _told(answer.body.get("fills", ())):
        row = trades.get((answer.client_order_id, str(fill["trade_id"])))
        if row is None or _fill(row) != _fill(fill):
            yield Finding("answered a fill that is not", intent.key, str(fill["trade_id"]))


def _cancels(evidence: Evidence) -> Iterator[Finding]:
    for client_order_id, answer in evidence.cancels:
        row = evidence.venue_orders.get(client_order_id)
        is_open = row is not None and row["status"] in {"NEW", "PARTIALLY_FILLED"}
        if answer.status == 200 and answer.body["status"] == "canceled" and is_open:
            yield Finding("cancelled and working", client_order_id)
        if answer.status == 404:
            yield Finding("acknowledged and lost", client_order_id, "a cancel did not find it")
        if answer.status >= 500 and answer.code not in evidence.refusals:
            yield Finding("unexpected answer", client_order_id, f"{answer.status} {answer.code}")


def _orders(evidence: Evidence) -> Iterator[Finding]:
    """Each order stands as the exchange has it: status, side, symbol, size, executed quantity."""
    wanted = {intent.key: intent for intent in evidence.intents}
    for client_order_id, order in evidence.by_id.items():
        intent, row = wanted.get(order["tag"]), evidence.venue_orders.get(client_order_id)
        if order["status"] in UNSETTLED:
            yield Finding("unsettled", client_order_id, order["status"])
        if order["external"] or order["overfill"] or order["status"] in {"RESURRECTED", "QUARANTINED"}:
            yield Finding("marked", client_order_id, str(dict(order)))
        if intent is not None and not _as_wanted(order, intent.body):
            yield Finding("another order", client_order_id, f"{dict(order)} for {intent.body}")
        if row is None and order["status"] not in NEVER_TAKEN | UNSETTLED:
            yield Finding("not at the exchange", client_order_id, order["status"])
        if row is not None:
            yield from _same_order(client_order_id, order, row)


def _as_wanted(order: Row, body: Mapping[str, str]) -> bool:
    asked = Decimal(body.get("quantity", "Infinity"))
    fits = order["quantity"] is None or 0 < Decimal(order["quantity"]) <= asked
    return fits and (order["symbol"], order["side"]) == (body["symbol"], body["side"])


def _same_order(client_order_id: str, order: Row, row: Row) -> Iterator[Finding]:
    ours = (order["status"], order["symbol"], order["side"], Decimal(order["filled_quantity"]))
    theirs_status = STATUS.get(row["status"], row["status"])
    theirs = (theirs_status, f"{row['symbol']}.BINANCE", row["side"], Decimal(row["executed_quantity"]))
    if ours != theirs:
        yield Finding("order differs", client_order_id, f"engine {ours}, exchange {theirs}")
    if str(order["venue_order_id"]) != str(row["order_id"]):
        yield Finding("order differs", client_order_id, f"{order['venue_order_id']} for {row['order_id']}")


def _fills(evidence: Evidence) -> Iterator[Finding]:
    """The engine's fills are the exchange's trades, each once: price, quantity, fee, fee asset.

    A stand-in that was taken back when its trades were told is none; one that still stands is one too many.
    """
    gone = {fill["trade_id"] for fill in evidence.fills if fill.get("provisional") and Decimal(fill["quantity"]) < 0}
    gone |= {trade_id.removesuffix(REVERSED) for trade_id in gone}
    ours = Counter(_fill(fill) for fill in evidence.fills if fill["trade_id"] not in gone)
    theirs = Counter(_fill(row) for row in evidence.rows("trades"))
    for fill, times in (ours - theirs).items():
        yield Finding("fill too many", fill[1], f"{times} x {fill}")
    for fill, times in (theirs - ours).items():
        yield Finding("fill missed", fill[1], f"{times} x {fill}")


def _told(fills: Iterable[Row]) -> list[Row]:
    """Return fills without those that say of themselves that they only stand in for trades."""
    return [fill for fill in fills if not fill.get("provisional")]


def _fill(row: Row) -> tuple[str, ...]:
    numbers = {"price", "quantity", "fee"}
    return tuple(str(Decimal(row[name]).normalize()) if name in numbers else str(row[name]) for name in _FILL)


def _books(evidence: Evidence) -> Iterator[Finding]:
    """Balances and positions are the exchange's, and equity is the sum of its parts."""
    yield from _purse(evidence) if evidence.market is Market.SPOT else _margin_account(evidence)
    error = equity_error(evidence.portfolio)
    if error != 0:
        yield Finding("equity identity", "portfolio", str(error))


def _purse(evidence: Evidence) -> Iterator[Finding]:
    """Spot: each asset is a balance, and what is held of a base asset is the position."""
    portfolio = evidence.portfolio
    held = {position["symbol"]: Decimal(position["signed_quantity"]) for position in portfolio["positions"]}
    for row in evidence.rows("balances"):
        theirs = Decimal(row["free"]) + Decimal(row["locked"])
        if row["asset"] == portfolio["reporting_asset"]:
            ours = Decimal(portfolio["cash"][f"{row['asset']}.BINANCE|spot"]["total"])
        else:
            ours = held.pop(f"{row['asset']}USDT.BINANCE", Decimal(0))
        if ours != theirs:
            yield Finding("balance differs", row["asset"], f"engine {ours}, exchange {theirs}")
    for symbol, quantity in held.items():
        yield Finding("balance differs", symbol, f"engine {quantity}, exchange has none")


def _margin_account(evidence: Evidence) -> Iterator[Finding]:
    """USD-M: one wallet, and positions of either sign with what they were entered at."""
    portfolio = evidence.portfolio
    held = {position["symbol"]: position for position in portfolio["positions"]}
    for row in evidence.rows("positions"):
        ours = _position(held.pop(f"{row['symbol']}.BINANCE", None), "signed_quantity", "average_price")
        theirs = _position(row, "quantity", "entry_price")
        if ours != theirs:
            yield Finding("position differs", row["symbol"], f"engine {ours}, exchange {theirs}")
    for symbol, position in held.items():
        yield Finding("position differs", symbol, f"engine {position['signed_quantity']}, exchange has none")
    for row in evidence.rows("balances"):
        cash = portfolio["cash"].get(f"{row['asset']}.BINANCE|futures", {"total": "0"})
        if Decimal(cash["total"]) != Decimal(row["wallet"]):
            yield Finding("wallet differs", row["asset"], f"engine {cash['total']}, exchange {row['wallet']}")


def _position(row: Row | None, quantity: str, price: str) -> tuple[Decimal, Decimal]:
    """Return what is held and at which price, to the eight digits that the exchange tells of it."""
    if row is None or Decimal(row[quantity]) == 0:
        return Decimal(0), Decimal(0)
    return Decimal(row[quantity]), Decimal(row[price]).quantize(Decimal("1e-8"))


def equity_error(portfolio: Row) -> Decimal:
    """Return equity less its parts: exactly zero in a sound book."""
    gains = sum(Decimal(portfolio[name]) for name in ("realised_pnl", "unrealised_pnl", "transfers"))
    costs = sum(Decimal(portfolio[name]) for name in ("fees", "funding"))
    return Decimal(portfolio["equity"]) - Decimal(portfolio["starting_equity"]) - gains + costs


def _journal(evidence: Evidence) -> Iterator[Finding]:
    """Nothing was papered over on the way: no difference taken over, no halt, no contradiction."""
    report = evidence.reconciliation
    if not report["ok"] or report["breaks"] or report["adopted"]:
        yield Finding("reconciliation", "last", str(dict(report))[:600])
    for event in evidence.events:
        body = event["event"]
        if event["kind"] in NEVER_SEEN:
            yield Finding("in the journal", event["kind"], str(body)[:400])
        if event["kind"] == "BalanceAdjusted" and body["kind"] not in BOOKED[evidence.market]:
            yield Finding("in the journal", event["kind"], str(body)[:400])
        if event["kind"] == "Anomaly" and body["kind"] != STOOD_IN:
            yield Finding("in the journal", f"anomaly {body['kind']}", f"{body['subject']} {body['detail']}")

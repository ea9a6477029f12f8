"""Writes a long journal quickly: real events of real orders, sealed and tabled as the engine does, by the thousand.

One order per instrument and side is made of the domain's own classes and encoded once; from then on only what tells one
order from the next is put into the text. Nothing about the result is special: the engine opens, checks and replays it
like its own.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.money import ONE, plain
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.storage.anchors import Anchors, Position
from engine_service.storage.chain import GENESIS, ROW_VERSION, Ratchet, link
from engine_service.storage.checkpoints import EVERY_ROWS
from engine_service.storage.codec import encode
from engine_service.storage.keys import KeyState, audit_key_of, load_key, write_private, write_state
from engine_service.storage.layout import EngineFiles
from engine_service.storage.order_runs import note_known_to
from engine_service.storage.port import StoredAnswer
from engine_service.storage.schema import open_writer

VENUE: Final = "PAPER"
PRICES: Final = {"BTC": 60_000, "ETH": 3_000, "BNB": 600, "SOL": 150, "XRP": 1, "DOGE": 1}
START_MS: Final = 1_700_000_000_000
LOT: Final = 4_000
#: Stand-ins in the encoded texts; nothing else in them looks like these.
CID, KEY, TRADE, AT = "c" * 32, "k" * 24, "7" * 12, "7777777777777"
PRICE, PAID = "77777.77", "55555.55"

Event = tuple[str, str | None, str]


@dataclass(frozen=True, slots=True)
class _Texts:
    """One order's events and table rows, encoded, with stand-ins."""

    symbol: str
    side: str
    quantity: Decimal
    events: tuple[tuple[str, bool, str], ...]
    order: str
    fill: str
    answer: str


class LongJournal:
    """A journal in a home folder that grows by ``append``; it reports in USDT."""

    def __init__(self, home: Path, *, seed: int = 7) -> None:
        """Begin a new journal."""
        self.files = files = EngineFiles(home)
        files.folder.mkdir(parents=True)
        root = load_key(files.root_key)
        load_key(files.instance_key)
        write_private(files.audit_key, audit_key_of(root).hex().encode())
        self._ratchet, self._head = Ratchet.from_root(root), GENESIS
        state = KeyState(seq=0, checkpoint=0, secret=self._ratchet.secret.hex())
        write_state(files.key_state, state)
        self._anchors = Anchors(files.key_state, files.checkpoints, state)
        self._connection = open_writer(files.journal)
        self._connection.execute("INSERT INTO meta VALUES ('reporting', 'USDT')")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._numbers = itertools.count(1)
        self._prices = _prices(random.Random(seed))
        self._texts = [_texts(base, side) for side in OrderSide for base in PRICES]
        self._write([(type(event).__name__, None, encode(event).decode()) for event in _opening()], [])

    @property
    def last_seq(self) -> int:
        return self._ratchet.seq

    def append(self, events: int) -> None:
        """Append at least so many events: whole orders, and an equity sample with each lot."""
        end = self.last_seq + events
        while self.last_seq < end:
            rows: list[Event] = [("EquityRecorded", None, _equity(START_MS + self.last_seq))]
            sample = (self.last_seq + 1, START_MS + self.last_seq, *["10000000"] * 3, *["0"] * 5)
            tables: list[tuple[tuple[Any, ...], ...]] = []
            while len(rows) < min(LOT, end - self.last_seq):
                tables.append(self._order(rows))
            self._write(rows, tables, sample)

    def close(self) -> None:
        """Write the checkpoints and close the database."""
        self._anchors.flush()
        # Each of its orders is one run.
        note_known_to(self._connection, self.last_seq)
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _order(self, rows: list[Event]) -> tuple[tuple[Any, ...], ...]:
        """Add the events of the next order to ``rows`` and return its table rows."""
        number, seq = next(self._numbers), self.last_seq + len(rows) + 1
        texts = self._texts[number % len(self._texts)]
        price = next(self._prices[texts.symbol])
        cid, key, trade, at = f"{number:032x}", f"key-{number:020d}", f"{number:012d}", str(START_MS + number)
        paid = f"{texts.quantity * Decimal(price)}"

        def fill_in(text: str) -> str:
            text = text.replace(CID, cid).replace(AT, at).replace(PRICE, price)
            return text.replace(TRADE, trade).replace(KEY, key).replace(PAID, paid)

        rows += [(kind, cid if named else None, fill_in(text)) for kind, named, text in texts.events]
        when, quantity = int(at), plain(texts.quantity)
        return (
            (
                *(cid, seq, VENUE, "main", texts.symbol, "spot", texts.side, "MARKET", "FILLED", 0, "manual", trade),
                *(quantity, None, quantity, plain(Decimal(paid)), when, when, fill_in(texts.order)),
            ),
            (
                *(seq + 3, cid, VENUE, "main", "spot", texts.symbol, trade, texts.side, "manual"),
                *(plain(Decimal(price)), quantity, "0.01", "USDT", when, fill_in(texts.fill)),
            ),
            ("bench|/orders/market", key, "f" * 64, "bench", cid, "created", when, fill_in(texts.answer)),
        )

    def _write(
        self, rows: list[Event], tables: list[tuple[tuple[Any, ...], ...]], sample: tuple[Any, ...] | None = None
    ) -> None:
        sealed, due = [], []
        for kind, order_id, body in rows:
            secret, seq, when = self._ratchet.turn(), self._ratchet.seq, START_MS
            named = None if order_id is None else order_id.encode()
            self._head = link(secret, self._head, seq, 1, when, kind.encode(), named, body.encode())
            sealed.append((seq, 1, ROW_VERSION, when, kind, order_id, body, self._head))
            if seq % EVERY_ROWS == 0:
                due.append(Position(seq, self._head, self._ratchet.secret))
        connection = self._connection
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?)", sealed)
        orders, fills, answers = zip(*tables, strict=True) if tables else ((), (), ())
        connection.executemany("INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", orders)
        connection.executemany("INSERT INTO fills VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", fills)
        connection.executemany("INSERT INTO idempotency VALUES (?,?,?,?,?,?,?,?)", answers)
        if sample is not None:
            connection.execute("INSERT INTO equity_snapshots VALUES (?,?,?,?,?,?,?,?,?,?)", sample)
        connection.execute("COMMIT")
        self._anchors.note(due, Position(self._ratchet.seq, self._head, self._ratchet.secret))


def _opening() -> Iterator[e.Event]:
    yield e.EngineStarted(at_ms=START_MS, epoch=1, version="bench", account="main")
    for asset, amount, rate in [("USDT", 10_000_000, 1), *((base, 100, price) for base, price in PRICES.items())]:
        yield e.BalanceAdjusted(
            at_ms=START_MS,
            venue=VENUE,
            market=Market.SPOT,
            asset=asset,
            amount=Decimal(amount),
            rate=Decimal(rate),
            kind=e.AdjustmentKind.OPENING,
        )
    yield e.ReconciliationCompleted(
        at_ms=START_MS, venue=VENUE, trigger="start", as_of_ms=START_MS, imported=0, closed=0
    )


def _prices(chance: random.Random) -> dict[str, Iterator[str]]:
    def walk(price: float) -> Iterator[str]:
        while True:
            price *= 1 + chance.uniform(-0.001, 0.001)
            yield f"{price:.2f}" if price > 10 else f"{price:.5f}"

    return {f"{base}USDT.{VENUE}": walk(price) for base, price in PRICES.items()}


def _texts(base: str, side: OrderSide) -> _Texts:
    """Encode one market order that is filled at once, as the engine journals it."""
    at, price = int(AT), Decimal(PRICE)
    quantity = Decimal(1) if PRICES[base] < 10 else Decimal("0.001")
    buy = side is OrderSide.BUY
    order = Order(
        client_order_id=CID,
        symbol=f"{base}USDT.{VENUE}",
        market=Market.SPOT,
        side=side,
        type=OrderType.MARKET,
        status=OrderStatus.INITIALIZED,
        quantity=quantity,
        created_at_ms=at,
        updated_at_ms=at,
        policy_version=2,
        base=base,
        quote="USDT",
        unit_value=price,
        reserve_asset="USDT" if buy else base,
        reserve_per_unit=price if buy else ONE,
    )
    fill = Fill(
        venue=VENUE,
        market=Market.SPOT,
        symbol=order.symbol,
        trade_id=TRADE,
        client_order_id=CID,
        venue_order_id=TRADE,
        side=side,
        price=price,
        quantity=quantity,
        fee=Decimal("0.01"),
        fee_asset="USDT",
        at_ms=at,
    )
    mark = e.IdempotencyMark(scope="bench|/orders/market", key=KEY, fingerprint="f" * 64, principal="bench")
    filled = e.OrderFilled(
        at_ms=at, client_order_id=CID, fill=fill, base=base, quote="USDT", quote_rate=ONE, fee_rate=ONE
    )
    events = (
        e.OrderInitialized(at_ms=at, client_order_id=CID, order=order, idempotency=mark),
        e.OrderSubmitted(at_ms=at, client_order_id=CID, sent_at_ms=at, fence_at_ms=at),
        e.OrderAccepted(at_ms=at, client_order_id=CID, venue_order_id=TRADE),
        filled,
        e.AnswerRecorded(at_ms=at, mark=mark, outcome="created", client_order_id=CID),
    )
    ended = replace(
        order,
        status=OrderStatus.FILLED,
        venue_order_id=TRADE,
        filled_quantity=quantity,
        filled_quote=Decimal(PAID),
        sent_at_ms=at,
        fence_at_ms=at,
    )
    answer = StoredAnswer(mark=mark, at_ms=at, outcome="created", client_order_id=CID, order=ended, fills=(fill,))
    named = tuple((type(ev).__name__, isinstance(ev, e.OrderEvent), encode(ev).decode()) for ev in events)
    bodies = (encode(body).decode() for body in (ended, fill, answer))
    return _Texts(order.symbol, side.value, quantity, named, *bodies)


def _equity(at_ms: int) -> str:
    zero, start = Decimal(0), Decimal(10_000_000)
    sample = e.EquityRecorded(
        at_ms=at_ms, equity=start, peak=start, day_start=start, realised_pnl=zero, unrealised_pnl=zero,
        fees=zero, funding=zero, transfers=zero,
    )  # fmt: skip
    return encode(sample).decode()

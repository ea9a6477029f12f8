"""Row ``report_streams``: reports shuffled, doubled and lost lead to the same state as the venue's own books.

No sockets: the engine's core on a manual clock, against a venue in memory that keeps a ledger. What the stream lost is
read after the next connection, as in life.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from decimal import Decimal

from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.execution.core import EngineCore
from engine_service.execution.submit import submit
from engine_service.execution.user_stream import take
from engine_service.venues.reports import OrderReport, StreamStatus
from tests.fakes.engine import fake, limit_order, make_core, mark_of
from tests.fakes.venue import FakeVenue, Script, unknown
from tests.faults.rows import Failure, Options, Outcome, Row

PER_ACCOUNT = 20
LOTS = Decimal("0.001")
LOST, DOUBLED, ANSWER_LOST = 0.25, 0.3, 0.15
COMPARISONS, COMPARED_AGAIN_MS = 2, 30_000
CASH = Decimal("1000000")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a seed does to the reports of one account."""

    reports: list[OrderReport]
    arrived: list[OrderReport]


def run(options: Options) -> Outcome:
    """Deliver muddled streams; each order is one stream."""
    return streams(options.pick(10_000, 100_000), options.seed)


def streams(number: int, seed: int) -> Outcome:
    """Try that many streams, some at a time on one account, and compare with the venue's ledger."""
    outcome = Outcome(tried=0)
    lost = sent = 0
    while outcome.tried < number:
        account = f"{seed}-{outcome.tried // PER_ACCOUNT}"
        core, delivery = asyncio.run(account_of(account))
        outcome.tried += PER_ACCOUNT
        outcome.failures += [Failure(f"account {account}", detail) for detail in differences(core)]
        sent += len(delivery.arrived)
        lost += len([report for report in delivery.reports if report not in delivery.arrived])
    outcome.notes = f"{sent} reports delivered, {lost} never"
    return outcome


async def account_of(seed: str) -> tuple[EngineCore, Delivery]:
    """Trade some orders on a venue and tell the engine of it badly. The same seed does the same."""
    chance = random.Random(seed)
    core = make_core(cash=CASH)
    venue = fake(core)
    venue.deposit("USDT", CASH - venue.balances[next(iter(venue.balances))])
    asked = [await _placed(core, venue, chance, f"{seed}-{number:04d}") for number in range(PER_ACCOUNT)]
    placed = [cid for cid in asked if cid in venue.orders]  # the rails refuse an order against our own
    reports = [report for cid in placed for report in _life_of(venue, cid, chance)]
    arrived = [report for report in reports if chance.random() >= LOST]
    arrived += [report for report in arrived if chance.random() < DOUBLED]
    chance.shuffle(arrived)
    for report in arrived:
        take(core, "BINANCE", report)
        if chance.random() < 0.1:
            await asyncio.sleep(0)
    await core.settle()
    # A comparison leaves alone what changed a moment ago, also by what it imported itself: its timer comes again.
    for _ in range(COMPARISONS):
        venue.clock.advance(COMPARED_AGAIN_MS)
        take(core, "BINANCE", StreamStatus(stream="user", connected=True))
        await core.settle()
    return core, Delivery(reports, arrived)


async def _placed(core: EngineCore, venue: FakeVenue, chance: random.Random, key: str) -> str:
    """Send a resting order; of some the answer is lost too."""
    side = chance.choice((OrderSide.BUY, OrderSide.BUY, OrderSide.SELL))
    if venue.balances.get((venue.markets[0], "BTC"), Decimal(0)) < 1:
        side = OrderSide.BUY
    price = Decimal(50_000 - 10 * chance.randrange(1, 50)) if side is OrderSide.BUY else Decimal(50_100)
    venue.fee_asset = chance.choice(("USDT", "BASE"))
    if chance.random() < ANSWER_LOST:
        venue.scripts.append(Script(say=unknown()))
    result = await submit(core, limit_order(str(price), str(LOTS * chance.randrange(1, 9)), side=side), mark_of(key))
    return result.order.client_order_id


def _life_of(venue: FakeVenue, client_order_id: str, chance: random.Random) -> list[OrderReport]:
    """Let the venue fill an order in parts, to its end or to a cancel; return its reports in their true order."""
    record = venue.orders[client_order_id]
    reports = [venue.report(client_order_id)]
    lots = int((record.order.quantity or Decimal(0)) / LOTS)
    while lots and chance.random() < 0.9:
        part = chance.randrange(1, lots + 1)
        fill = venue.fill(client_order_id, LOTS * part)
        reports.append(venue.report(client_order_id, with_fill=fill))
        lots -= part
    if lots and chance.random() < 0.7:
        record.status = chance.choice((OrderStatus.CANCELED, OrderStatus.EXPIRED))
        reports.append(venue.report(client_order_id))
    return reports


def differences(core: EngineCore) -> list[str]:
    """Return where the engine's books differ from the venue's."""
    venue, found = fake(core), []
    for cid, record in venue.orders.items():
        order = core.state.order(cid)
        ours = None if order is None else (order.status, order.filled_quantity)
        if ours != (record.status, record.executed):
            found.append(f"{cid}: engine {ours}, venue {(record.status, record.executed)}")
        booked = sorted(fill.trade_id for fill in core.state.fills_of(cid))
        if booked != sorted(fill.trade_id for fill in record.fills):
            found.append(f"{cid}: trades {booked}, venue {[fill.trade_id for fill in record.fills]}")
    for (market, asset), amount in venue.balances.items():
        held = core.state.portfolio.holding("BINANCE", market, asset)
        if held != amount:
            found.append(f"{asset}: engine {held}, venue {amount}")
    if core.state.portfolio.identity_error != 0:
        found.append(f"equity identity off by {core.state.portfolio.identity_error}")
    return found


ROW = Row("report_streams", "report streams shuffled, doubled, lossy: state = the venue's books", run)

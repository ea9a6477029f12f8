"""The part of the comparison about figures: balances and positions, ours against the venue's, exactly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from decimal import Decimal

from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO, exactly
from engine_service.execution.core import EngineCore
from engine_service.venues.port import Venue
from engine_service.venues.reports import AccountSnapshot

READS = 3
BETWEEN_READS_S = 0.4
#: So often at most an unknown account is read once more.
OPENING_READS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Ours against theirs: of an asset's balance or of a position, in units of the thing."""

    kind: str
    venue: str
    market: Market
    subject: str
    ours: Decimal
    theirs: Decimal
    price: Decimal = ZERO

    @property
    def break_id(self) -> str:
        return f"{self.venue}|{self.market.value}|{self.kind}|{self.subject}"


Figures = dict[tuple[str, str], Decimal]


@dataclass(frozen=True, slots=True)
class Reading:
    """The venue's account, and our figures by (kind, subject) from the moment before it was asked for."""

    before: Figures
    snapshot: AccountSnapshot


#: Books missing trades of what differs from the venue's figures (by subject), or of everything (``None``).
CatchUp = Callable[[list[Reading], Collection[str] | None], Awaitable[None]]


async def read_accounts(core: EngineCore, venue: Venue) -> list[Reading]:
    """Read every market once, with our own figures from just before: trading goes on meanwhile."""
    readings = []
    for market in venue.info.markets:
        before = _ours(core, venue.info.name, market)
        readings.append(Reading(before, await venue.account(market)))
    core.gate.venue_result(venue.info.name, ok=True, now_s=core.clock.monotonic_s())
    return readings


async def read_unknown_accounts(core: EngineCore, venue: Venue) -> list[Reading]:
    """Read an account that was never compared until two reads in turn agree, and return the second.

    Its time is then one at which the account was so: what was paid or traded before it is part of what is found, what
    comes from then on is not. After one read alone nobody could tell which. An account that never stands still is
    taken as it was last read.
    """
    readings = await read_accounts(core, venue)
    for _ in range(OPENING_READS):
        await core.sleep(BETWEEN_READS_S)
        again = await read_accounts(core, venue)
        if [_held(reading.snapshot) for reading in again] == [_held(reading.snapshot) for reading in readings]:
            return again
        readings = again
    return readings


async def differences_of(
    core: EngineCore, venue: Venue, first: list[Reading], catch_up: CatchUp
) -> dict[str, Difference]:
    """Return what differs in every one of some reads, from our figures both before and after the read.

    The first read is the one that the orders were compared with: in the usual case it is the only one. ``catch_up``
    books the trades that came since: at start no stream tells of them, and an order may trade between two reads. The
    last time it reads all that there are.
    """
    lasting = differences_in(core, first)
    for left in reversed(range(READS - 1)):
        if not lasting:
            break
        await core.sleep(BETWEEN_READS_S)
        readings = await read_accounts(core, venue)
        await catch_up(readings, {difference.subject for difference in lasting.values()} if left else None)
        found = differences_in(core, readings)
        lasting = {key: found[key] for key in lasting if key in found}
    return lasting


def differences_in(core: EngineCore, readings: list[Reading]) -> dict[str, Difference]:
    """Return what differs in one read, from our figures both before and after it."""
    found: dict[str, Difference] = {}
    for reading in readings:
        snapshot = reading.snapshot
        found |= _unequal(snapshot, reading.before, _ours(core, snapshot.venue, snapshot.market))
    return found


def _held(snapshot: AccountSnapshot) -> Figures:
    """Return the venue's figures by (kind, subject)."""
    balances = {("balance", balance.asset): balance.total for balance in snapshot.balances}
    return balances | {("position", held.symbol): held.signed_quantity for held in snapshot.positions}


def _ours(core: EngineCore, venue: str, market: Market) -> Figures:
    """Return our figures by (kind, subject)."""
    prefix = f"{venue}|{market.value}|"
    books = core.state.portfolio
    figures = {
        ("balance", key.removeprefix(prefix)): book.quantity
        for key, book in books.holdings.items()
        if key.startswith(prefix)
    }
    if market is Market.FUTURES:
        suffix = f".{venue}"
        figures |= {
            ("position", symbol): position.book.quantity
            for symbol, position in books.derivatives.items()
            if symbol.endswith(suffix)
        }
    return figures


@exactly
def _unequal(
    snapshot: AccountSnapshot,
    before: Figures,
    after: Figures,
) -> dict[str, Difference]:
    theirs: dict[tuple[str, str], tuple[Decimal, Decimal]] = {
        ("balance", balance.asset): (balance.total, ZERO) for balance in snapshot.balances
    }
    theirs |= {
        ("position", position.symbol): (position.signed_quantity, position.entry_price)
        for position in snapshot.positions
    }
    found = {}
    for kind, subject in {*theirs, *before, *after}:
        quantity, price = theirs.get((kind, subject), (ZERO, ZERO))
        was, now = before.get((kind, subject), ZERO), after.get((kind, subject), ZERO)
        if quantity in (was, now):
            continue
        difference = Difference(
            kind=kind,
            venue=snapshot.venue,
            market=snapshot.market,
            subject=subject,
            ours=now,
            theirs=quantity,
            price=price,
        )
        found[difference.break_id] = difference
    return found

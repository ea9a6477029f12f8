"""Whose trades a comparison reads.

A venue counts every history that is asked for (twenty of six thousand points a minute on Binance spot), and an account
that has traded a hundred instruments has to do with few of them today. So the timer's comparison asks about those where
something may have happened, and about a few of the others in their turn. What is missed there shows as a difference of
figures: then what differs is asked about, and where that does not explain it, everything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from typing import Final

from engine_service.domain.ids import Market
from engine_service.execution.core import EngineCore
from engine_service.venues.port import Venue
from engine_service.venues.reports import AccountSnapshot

#: So long after its last order changed an instrument counts as traded now.
TRADED_MS: Final = 600_000
#: Of what is asked about one by one, how many in a comparison.
AT_ONCE: Final = 5


def symbols_to_read(
    core: EngineCore, venue: Venue, snapshot: AccountSnapshot, differing: Collection[str] | None
) -> list[str]:
    """Return instruments in order: those that matter now, and a few of the others in their turn.

    ``differing`` are assets and instruments whose figures differ from the venue's. Where that is a currency that many
    instruments are paid in, it names none of them. ``None``: all that this engine or the account has to do with.
    """
    known, market = _known(core, venue, snapshot), snapshot.market
    if differing is None:
        return sorted(known)
    busy = known & _traded(core, snapshot)
    busy |= {symbol for symbol in known if not {symbol, core.instruments[symbol, market].base}.isdisjoint(differing)}
    return sorted(busy | set(in_turn(core, f"quiet:{market.value}", sorted(known - busy))))


def in_turn(core: EngineCore, listing: str, names: Sequence[str]) -> list[str]:
    """Return a few of many sorted names: those that follow the ones returned last time, round and round."""
    if len(names) <= AT_ONCE:
        return list(names)
    start = bisect_right(names, core.turns.get(listing, ""))
    found = [*names[start:], *names[:start]][:AT_ONCE]
    core.turns[listing] = found[-1]
    return found


def _known(core: EngineCore, venue: Venue, snapshot: AccountSnapshot) -> set[str]:
    """Return every instrument that this engine or the account has to do with."""
    name, market = venue.info.name, snapshot.market
    symbols = {key.partition(":")[2] for key in core.state.image.last_trade_ids if key.startswith(f"{market.value}:")}
    symbols |= {order.symbol for order in core.state.image.orders.values() if order.market is market}
    symbols |= {report.symbol for report in snapshot.open_orders}
    symbols |= {position.symbol for position in snapshot.positions}
    symbols |= _restricted(core, market)
    if market is Market.SPOT:
        reporting = core.state.image.reporting
        symbols |= {f"{balance.asset}{reporting}.{name}" for balance in snapshot.balances if balance.total}
    return {symbol for symbol in symbols if symbol.endswith(f".{name}") and (symbol, market) in core.instruments}


def _traded(core: EngineCore, snapshot: AccountSnapshot) -> set[str]:
    """Return instruments with an order that is open, changed lately, or proved absent and still watched."""
    image, now = core.state.image, core.clock.now_ms()
    orders = [core.order(cid) for cid in image.tombstones]
    orders += [order for order in image.orders.values() if order.is_open or now - order.updated_at_ms < TRADED_MS]
    symbols = {order.symbol for order in orders if order is not None and order.market is snapshot.market}
    return symbols | {report.symbol for report in snapshot.open_orders} | _restricted(core, snapshot.market)


def _restricted(core: EngineCore, market: Market) -> set[str]:
    """Return instruments put aside: something was odd there, or their trades wait for their rules to be known."""
    return {found.symbol for found in core.state.image.restrictions.values() if found.market is market}

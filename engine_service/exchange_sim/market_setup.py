"""From price paths to listings: which symbols a source gives rise to, and their histories in ticks and steps."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from engine_service.exchange_sim.bars import CLOSE, QUOTE, BarStore, IntArray, history_rows
from engine_service.exchange_sim.book import MakerQuotes
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.intervals import SECOND_MS
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.model import SymbolSpec
from engine_service.exchange_sim.price_paths import TICKS_PER_SECOND, FloatArray, PathBlock
from engine_service.exchange_sim.public_data import AggTrade, PublicTrade
from engine_service.exchange_sim.specs import derived_spec

CROSS_SYMBOL = "ETHBTC"
CROSS_LEGS = ("ETHUSDT", "BTCUSDT")
# The cross trades this share of its first leg's volume.
CROSS_VOLUME_FRAC = 0.1
# The best level holds what trades in about a second, between these worths in quote.
_LEVEL_WORTH_RANGE = (2_000.0, 250_000.0)
_TAPE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Member:
    """How a listing follows the source: column `leg` over column `divisor` (None: as it is), volumes scaled."""

    spec: SymbolSpec
    leg: int
    divisor: int | None = None
    volume_frac: float = 1.0


def members_of(symbols: tuple[str, ...], wanted: tuple[str, ...], lowest: FloatArray) -> list[Member]:
    """Listings of both markets for a source's symbols, and the cross where both its legs are there.

    Args:
        symbols: the source's symbols, by column.
        wanted: symbols to list; empty for all.
        lowest: lowest price of each column in the history: ticks must be fine enough for it.
    """
    members = []
    for column, symbol in enumerate(symbols):
        if wanted and symbol not in wanted:
            continue
        price = _five_digits(float(lowest[column]))
        members += [Member(derived_spec(market, symbol, price), column) for market in Market]
    cross_asked = not wanted or CROSS_SYMBOL in wanted
    if cross_asked and all(leg in symbols for leg in CROSS_LEGS):
        leg, divisor = (symbols.index(s) for s in CROSS_LEGS)
        spec = derived_spec(Market.SPOT, CROSS_SYMBOL, _five_digits(float(lowest[leg] / lowest[divisor])))
        members.append(Member(spec, leg, divisor, CROSS_VOLUME_FRAC))
    return members


def make_listing(member: Member, history: PathBlock, first_open_ms: int, bus: EventBus) -> Listing:
    """A listing with its past: bars of the whole history, a tape of its last minutes, a quoted book."""
    spec = member.spec
    prices = history.prices[:, :, member.leg]
    if member.divisor is not None:
        prices = prices / history.prices[:, :, member.divisor]
    ticks = np.maximum(1, np.rint(prices / float(spec.tick_size))).astype(np.int64)
    scale = member.volume_frac / float(spec.step_size)
    volumes = history.volumes[:, :, member.leg]
    steps = np.where(volumes > 0, np.maximum(1, np.rint(volumes * scale)), 0).astype(np.int64)
    buyer_takes = history.buyer_takes[:, :, member.leg]
    rows = history_rows(ticks, steps, buyer_takes)
    listing = Listing(
        spec,
        BarStore(spec.tick_size, spec.step_size, first_open_ms, rows),
        MakerQuotes(_level_steps(spec, rows)),
        bus,
    )
    _fill_tape(listing, ticks, steps, buyer_takes, first_open_ms)
    listing.quotes.quote_around(int(rows[-1, CLOSE]), bool(buyer_takes[-1, -1]))
    return listing


def _fill_tape(
    listing: Listing,
    ticks: IntArray,
    steps: IntArray,
    buyer_takes: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    first_open_ms: int,
) -> None:
    start = max(0, len(ticks) - _TAPE_SECONDS)
    trade_id = int(1 + (steps[:start] > 0).sum())
    for second in range(start, len(ticks)):
        for tick in range(TICKS_PER_SECOND):
            if not steps[second, tick]:
                continue
            at_ms = first_open_ms + second * SECOND_MS + tick_offset_ms(tick)
            price = listing.to_price(int(ticks[second, tick]))
            quantity = listing.to_quantity(int(steps[second, tick]))
            buyer_makes = not buyer_takes[second, tick]
            listing.trades.append(PublicTrade(trade_id, price, quantity, at_ms, buyer_makes))
            listing.agg_trades.append(AggTrade(trade_id, price, quantity, trade_id, trade_id, at_ms, buyer_makes))
            trade_id += 1


def tick_offset_ms(tick: int) -> int:
    """When within its second a tick happens: evenly, off the second's edges."""
    return (2 * tick + 1) * SECOND_MS // (2 * TICKS_PER_SECOND)


def _level_steps(spec: SymbolSpec, rows: IntArray) -> int:
    """Steps of a best level, from the typical quote volume of a second."""
    unit = float(spec.tick_size * spec.step_size)
    price = float(rows[-1, CLOSE]) * float(spec.tick_size)
    lowest, highest = _LEVEL_WORTH_RANGE
    quote_in_usdt = 1.0 if spec.quote_asset in ("USDT", "USDC", "FDUSD") else 95_000.0
    worth = float(np.median(rows[:, QUOTE])) * unit * quote_in_usdt
    return max(1, round(min(max(worth, lowest), highest) / quote_in_usdt / price / float(spec.step_size)))


def _five_digits(price: float) -> Decimal:
    return Decimal(f"{price:.5g}")

"""The price of an instrument whose quotes are not followed: read once from the book, before an order is judged.

Only an order that would otherwise be refused for want of a price waits for it, and not for long. Quotes that are
followed and stopped coming are another matter: that price is stale, and the rails say so.
"""

from __future__ import annotations

import asyncio
from typing import Final

from engine_service.domain.errors import Unavailable
from engine_service.domain.exposure import line_key
from engine_service.domain.ids import Market, instrument_id
from engine_service.domain.instrument import Instrument
from engine_service.domain.marks import asset_symbol
from engine_service.domain.order import OrderRequest
from engine_service.execution.core import EngineCore
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.venues.abilities import BookSource
from engine_service.venues.reports import BookReport, Quote

READ_WITHIN_S: Final = 1.0
LEVELS: Final = 5
_UNPRICED: Final = frozenset({"PRICE_STALE", "PRICE_INVALID"})


def lacks_price(core: EngineCore, symbol: str, market: Market) -> bool:
    """Tell whether an instrument has no price, or an old one that nobody follows."""
    mark = core.marks.get(symbol, market)
    if mark is None:
        return True
    if (symbol, market) not in core.read_once:
        return False
    return mark.age_ms(core.clock.monotonic_s()) > core.gate.policy.price_stale_ms


async def read_price(core: EngineCore, request: OrderRequest) -> None:
    """Read the missing price of an order's instrument, and that of its quote asset; what cannot be had stays missing.

    An order that only reduces does not wait: it is let through without a price. One with a bracket needs quotes that
    keep coming, for these trigger its exits: a price read once would not do.
    """
    try:
        symbol = instrument_id(request.symbol)
    except ValueError:
        return
    instrument = core.instruments.get((symbol, request.market))
    if instrument is None or request.reduce_only or not core.ready or core.state.halted:
        return
    if request.bracket is not None:
        await _quoted(core, symbol, request.market)
        return
    await read_prices(core, instrument)


async def read_prices(core: EngineCore, instrument: Instrument) -> None:
    """Read the prices that value an order in an instrument, those that are missing, all at once."""
    reads = [
        core.spawn(f"price:{wanted.market}:{wanted.symbol}", _read(core, wanted))
        for wanted in _wanted(core, instrument)
        if lacks_price(core, wanted.symbol, wanted.market)
    ]
    if reads:
        await asyncio.wait(reads)


async def read_again(core: EngineCore) -> None:
    """Keep the prices of what is held or worked without quotes: equity and exposure are valued by them."""
    for symbol, market in sorted(core.read_once):
        instrument = core.instruments.get((symbol, market))
        if instrument is None:
            continue
        line = core.state.exposure.lines.get(line_key(symbol, market, instrument.base, core.state.image.reporting))
        if line is not None and line.worst > 0:
            await _read(core, instrument)


def refuse_unpriced(ctx: RiskContext, refusal: RiskRefused) -> None:
    """Give the key back where a price is missing for now: the same request may well pass a moment later.

    Raises:
        Unavailable: it is so (``PRICE_STALE``).
    """
    if ctx.request.bracket is None and refusal.code in _UNPRICED and (ctx.mark is None or ctx.quote_rate is None):
        why = f"no price of {ctx.symbol} could be had yet and nothing was recorded; ask again under the same key"
        raise Unavailable("PRICE_STALE", why, retry_after_s=1)


def _wanted(core: EngineCore, instrument: Instrument) -> list[Instrument]:
    """Return the instruments whose prices value an order: its own, and its quote asset's pair where that is unknown."""
    found = [instrument]
    if core.rate(instrument.venue, instrument.quote) is None:
        pair = asset_symbol(instrument.quote, core.state.image.reporting, instrument.venue)
        found += [core.instruments[pair, market] for market in Market if (pair, market) in core.instruments][:1]
    return found


async def _read(core: EngineCore, instrument: Instrument) -> None:
    venue, symbol, market = core.venue_for(instrument.symbol), instrument.symbol, instrument.market
    if not isinstance(venue, BookSource):
        return
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            book = await venue.order_book(market, symbol, LEVELS)
    except TimeoutError:
        return
    if not isinstance(book, BookReport) or not book.bids or not book.asks:
        return
    if core.marks.get(symbol, market) is not None and (symbol, market) not in core.read_once:
        return  # its quotes began meanwhile
    (bid, bid_quantity), (ask, ask_quantity) = book.bids[0], book.asks[0]
    core.update_quote(
        Quote(
            symbol=symbol,
            market=market,
            bid=bid,
            ask=ask,
            bid_quantity=bid_quantity,
            ask_quantity=ask_quantity,
            received_at_s=core.clock.monotonic_s(),
        )
    )
    core.read_once.add((symbol, market))


async def _quoted(core: EngineCore, symbol: str, market: Market) -> None:
    """Wait for the first quote of an instrument: right after a start it may be on its way."""
    until_s = core.clock.monotonic_s() + READ_WITHIN_S
    while core.marks.get(symbol, market) is None and core.clock.monotonic_s() < until_s:
        await core.sleep(0.05)

"""A balance that differs although nothing was moved: by rounding, or because trades were told in another order.

Nobody can move less than the smallest unit that the venue keeps: a smaller difference is what it rounds results by.

At average cost the result of closing a part depends on what was held when it closed. A trade that is told late is
booked late: where the venue does not tell results, ours of the closing and its own differ, and by exactly as much our
entry prices. Nothing was moved: taking the venue's entry price for ours makes both figures agree, and equity stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO, exactly, quantise
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile_figures import Difference
from engine_service.venues.reports import VenuePosition

#: Wallets are told rounded.
ROUNDED = Decimal("0.000001")
#: The smallest amount of an asset that a venue keeps.
SMALLEST = Decimal("1e-8")


def is_rounding(difference: Difference) -> bool:
    """Tell whether a balance differs by less than can be moved."""
    return difference.kind == "balance" and abs(difference.theirs - difference.ours) < SMALLEST


def rounding(core: EngineCore, difference: Difference, amount: Decimal) -> e.BalanceAdjusted:
    """Book what a venue's rounding made of results; it is a result itself, not a transfer."""
    return adjusted(core, difference, amount, e.AdjustmentKind.ROUNDING)


def adjusted(core: EngineCore, difference: Difference, amount: Decimal, kind: e.AdjustmentKind) -> e.BalanceAdjusted:
    """Book a balance's difference, or a part of it, as what it is taken for."""
    return e.BalanceAdjusted(
        at_ms=core.clock.now_ms(),
        venue=difference.venue,
        market=difference.market,
        asset=difference.subject,
        amount=amount,
        rate=core.booking_rate(difference.venue, difference.subject),
        kind=kind,
        reference="reconciliation",
    )


@exactly
def other_order(core: EngineCore, difference: Difference, positions: Iterable[VenuePosition]) -> list[e.Event]:
    """Return what takes over the venue's entry prices, where these explain a wallet's difference; else nothing."""
    if difference.kind != "balance" or difference.market is not Market.FUTURES:
        return []
    equal = list(_equal(core, difference, positions))
    moved = [(position, more) for position, more in equal if abs(more) > _rounded(position)]
    rest = difference.theirs - difference.ours - sum((more for _, more in moved), ZERO)
    if not moved or abs(rest) > ROUNDED + sum((_rounded(position) for position, _ in equal), ZERO):
        return []
    rate, now = core.booking_rate(difference.venue, difference.subject), core.clock.now_ms()
    adopted: list[e.Event] = [
        e.PositionAdopted(
            at_ms=now,
            symbol=position.symbol,
            quote=difference.subject,
            quantity=quantity,
            price=position.entry_price,
            quote_rate=rate,
        )
        for position, _ in moved
        for quantity in (-position.signed_quantity, position.signed_quantity)
    ]
    return [*adopted, rounding(core, difference, rest)] if rest else adopted


@exactly
def wallets_of(core: EngineCore, differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """Return the wallet's difference that belongs to a position's, by the position's id.

    Where a position of ours changed and no trade tells how, what its wallet shows is the result of that.
    A wallet belongs to the first such position, and to none that could not have ended at any price like that.
    """
    found: dict[str, Difference] = {}
    for key, difference in sorted(differences.items()):
        ours = core.state.portfolio.derivatives.get(difference.subject) if difference.kind == "position" else None
        if ours is None or not ours.book.quantity:
            continue
        wallet = differences.get(f"{difference.venue}|{difference.market.value}|balance|{ours.quote}")
        if wallet is None or wallet in found.values():
            continue
        if (ours.book.cost + wallet.theirs - wallet.ours).is_signed() is ours.book.quantity.is_signed():
            found[key] = wallet
    return found


@exactly
def position_taken(
    core: EngineCore, difference: Difference, wallet: Difference | None, *, opening: bool = False
) -> list[e.Event]:
    """Return what takes over the venue's position: ours leaves with the result that the wallet shows, theirs comes.

    Where the wallet shows none, ours leaves at what it cost: a trade that the venue took back brought no result.
    """
    ours = core.state.portfolio.derivatives.get(difference.subject)
    instrument = core.instruments.get((difference.subject, Market.FUTURES))
    quote = core.state.image.reporting if instrument is None else instrument.quote
    if ours is not None:
        quote = ours.quote
    new = e.PositionAdopted(
        at_ms=core.clock.now_ms(),
        symbol=difference.subject,
        quote=quote,
        quantity=difference.theirs,
        price=difference.price or core.marks.price(difference.subject, Market.FUTURES) or ZERO,
        quote_rate=core.booking_rate(difference.venue, quote),
        opening=opening,
    )
    come: list[e.Event] = [new] if new.quantity else []
    if ours is None or not ours.book.quantity:
        return come
    result = ZERO if wallet is None else wallet.theirs - wallet.ours
    price = quantise((ours.book.cost + result) / ours.book.quantity)
    return [replace(new, quantity=-ours.book.quantity, price=price, realised=result), *come]


def _rounded(position: VenuePosition) -> Decimal:
    """Return what the rounding of its entry price may make of a position's cost."""
    return abs(position.signed_quantity) * SMALLEST


def _equal(
    core: EngineCore, difference: Difference, positions: Iterable[VenuePosition]
) -> Iterator[tuple[VenuePosition, Decimal]]:
    """Yield equal positions settled in the wallet's asset, with what they cost more at the venue's entry price.

    In amounts, not in prices: a quotient is rounded, and what is booked from it would never add up.
    """
    for position in positions:
        ours = core.state.portfolio.derivatives.get(position.symbol)
        if ours is None or not ours.book.quantity or ours.quote != difference.subject:
            continue
        if ours.book.quantity == position.signed_quantity:
            yield position, position.signed_quantity * position.entry_price - ours.book.cost

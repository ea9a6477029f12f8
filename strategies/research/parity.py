"""Why live results differ from the backtest of the same bars: every difference has a cause, and the causes add up.

A fill at value V of a signed quantity q with a fee F is worth q E - V - F at the end, where the price is E. A decision
that was filled live (q, V, F) and in the backtest (q', V', F'), after a bar that closed at C and sent at mark M,
differs by exactly

    fee       -(F - F')
    spread    -(V - q M) + (V' - q' C)      paid against the mark, beyond what the backtest assumes against the close
    latency   -q (M - C)                    the market moved between the bar's close and the order
    position  (q - q') (E - C)              another size: something else was held, or only a part was filled

The split is that of implementation shortfall: Perold (1988), The Implementation Shortfall: Paper versus Reality.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum

ZERO = Decimal(0)
#: Digits that no sum of amounts of 18 decimals outgrows: nothing is rounded on the way.
DIGITS = 76


class Cause(StrEnum):
    """Why a live result differs from the backtest's."""

    FEE = "fee"
    SPREAD = "spread"
    LATENCY = "latency"
    MISSED = "missed"
    RAIL = "rail"
    DATA = "data"
    PROTECTION = "protection"
    POSITION = "position"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What was traded: ``quantity`` in base units, negative for a sale; ``value`` is the sum of quantity times price
    and ``fee`` what it cost, both in quote units."""

    quantity: Decimal
    value: Decimal
    fee: Decimal

    def worth(self, end: Decimal) -> Decimal:
        """Return what it has earned at a price of ``end``, in quote units."""
        return self.quantity * end - self.value - self.fee


NOTHING = Filled(quantity=ZERO, value=ZERO, fee=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision as it went live and in the backtest.

    Args:
        close: the bar's close, in quote units; 0 where no bar belongs to it.
        mark: the mark when the live order was sent; ``None`` where nobody noted it, and then all of it is spread.
        alone: the cause where only one of the two traded; ``detail`` says more.
    """

    strategy: str
    symbol: str
    bar_open_ms: int
    close: Decimal
    live: Filled = NOTHING
    ideal: Filled = NOTHING
    mark: Decimal | None = None
    order_id: str = ""
    alone: Cause = Cause.DATA
    detail: str = ""

    @property
    def in_both(self) -> bool:
        """True where it was traded live and in the backtest."""
        return bool(self.live.quantity and self.ideal.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A part of the gap in quote units, positive where live did better."""

    decision: Decision
    cause: Cause
    amount: Decimal
    detail: str = ""


def differences(decision: Decision, end: Decimal) -> list[Difference]:
    """Return why one decision is worth something else live than in the backtest, at a price of ``end``.

    The amounts add up to ``live.worth(end) - ideal.worth(end)``, to the last digit; those of zero are left out.
    """
    with localcontext(prec=DIGITS):
        parts = _parts(decision, end)
    return [
        Difference(
            decision=decision,
            cause=cause,
            amount=amount,
            detail=decision.detail if cause is decision.alone and not decision.in_both else "",
        )
        for cause, amount in parts.items()
        if amount
    ]


def gap(decisions: Iterable[Decision], ends: Mapping[str, Decimal]) -> Decimal:
    """Return what live earned beyond the backtest, by the price of each symbol at the end; in quote units."""
    with localcontext(prec=DIGITS):
        return sum((_whole(one, ends[one.symbol]) for one in decisions), ZERO)


def _whole(decision: Decision, end: Decimal) -> Decimal:
    return decision.live.worth(end) - decision.ideal.worth(end)


def _parts(decision: Decision, end: Decimal) -> dict[Cause, Decimal]:
    live, ideal, close = decision.live, decision.ideal, decision.close
    parts = {Cause.FEE: ideal.fee - live.fee}
    if not decision.in_both:
        rest = _whole(decision, end) - parts[Cause.FEE]
        return {**parts, decision.alone: parts.get(decision.alone, ZERO) + rest}
    mark = close if decision.mark is None else decision.mark
    assumed = ideal.value - ideal.quantity * close
    return {
        **parts,
        Cause.SPREAD: assumed - (live.value - live.quantity * mark),
        Cause.LATENCY: -live.quantity * (mark - close),
        Cause.POSITION: (live.quantity - ideal.quantity) * (end - close),
    }

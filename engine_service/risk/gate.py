"""The one gate before every order. ``send`` accepts nothing but ``Approved``, and only the gate makes one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from engine_service.domain.money import exactly
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.risk.permissions import RAILS, Pace, PaceRail, PlainRail, Rail
from engine_service.risk.policy import RiskPolicy
from engine_service.risk.reservations import Reservation, reserve

#: Rails of one kind that follow each other: those about pace, then those that look at the order alone.
_Stretch = tuple[tuple[PaceRail, ...], tuple[PlainRail, ...]]


def _stretches(rails: Iterable[Rail]) -> tuple[_Stretch, ...]:
    found: list[tuple[list[PaceRail], list[PlainRail]]] = [([], [])]
    for rail in rails:
        if rail.pace is not None:
            if found[-1][1]:
                found.append(([], []))
            found[-1][0].append(rail.pace)
        elif rail.check is not None:
            found[-1][1].append(rail.check)
    return tuple((tuple(paced), tuple(plain)) for paced, plain in found)


#: The rails as the gate walks them, in their order, once for every order: no look-up that can be done here.
_EVERY: Final = _stretches(RAILS)
_REDUCING: Final = _stretches(rail for rail in RAILS if not rail.reducing_passes)


class Approved(Struct, frozen=True, kw_only=True, gc=False):
    """Every rail passed; the reservation has to be applied in the same event loop turn."""

    context: RiskContext
    reservation: Reservation


class Verdict(Struct, frozen=True, kw_only=True):
    """One rail's answer, for an order that is only asked about. ``asked`` is false where reducing orders pass."""

    code: str
    passed: bool
    asked: bool = True
    reason: str = ""
    numbers: Mapping[str, str] = field(default_factory=dict)


class RiskGate:
    """The rails in their order, with the policy in force and what they remember."""

    def __init__(self, policy: RiskPolicy) -> None:
        self.policy = policy
        self.pace = Pace()

    @exactly
    def check(self, ctx: RiskContext) -> Approved | RiskRefused:
        """Judge an order; the first refusal wins. An approval counts against rates at once."""
        pace = self.pace
        for paced, plain in _REDUCING if ctx.request.reduce_only else _EVERY:
            for ask in paced:
                if (refusal := ask(ctx, pace)) is not None:
                    return refusal
            for check in plain:
                if (refusal := check(ctx)) is not None:
                    return refusal
        pace.passed(ctx)
        return Approved(context=ctx, reservation=reserve(ctx))

    @exactly
    def explain(self, ctx: RiskContext) -> list[Verdict]:
        """Return every rail's answer with its numbers; counts nothing and sends nothing."""
        verdicts = []
        for rail in RAILS:
            asked = not (ctx.request.reduce_only and rail.reducing_passes)
            refusal = rail.ask(ctx, self.pace) if asked else None
            if refusal is None:
                verdicts.append(Verdict(code=rail.code, passed=True, asked=asked))
                continue
            verdicts.append(Verdict(code=refusal.code, passed=False, reason=refusal.reason, numbers=refusal.numbers))
        return verdicts

    def venue_result(self, venue: str, *, ok: bool, now_s: float) -> None:
        """Feed the venue's breaker: every call to a venue ends here, good or bad."""
        self.pace.venue(venue).record(ok, now_s, self.policy)

    def equity_seen(self, equity: Decimal, transfers: Decimal, now_s: float) -> None:
        """Feed the equity breaker."""
        self.pace.equity.record(equity, transfers, now_s, self.policy)

    def install(self, policy: RiskPolicy) -> None:
        """Put new limits in force for every check from now on."""
        self.policy = policy

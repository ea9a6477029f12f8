"""The one gate before every order. ``send`` accepts nothing but ``Approved``, and only the gate makes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine_service.domain.money import exactly
from engine_service.risk.context import RiskContext, RiskRefused
from engine_service.risk.permissions import RAILS, Pace
from engine_service.risk.policy import RiskPolicy
from engine_service.risk.reservations import Reservation, reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Every rail passed; the reservation has to be applied in the same event loop turn."""

    context: RiskContext
    reservation: Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
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
        reducing = ctx.request.reduce_only
        for rail in RAILS:
            if reducing and rail.reducing_passes:
                continue
            refusal = rail.check(ctx, self.pace)
            if refusal is not None:
                return refusal
        self.pace.passed(ctx)
        return Approved(context=ctx, reservation=reserve(ctx))

    @exactly
    def explain(self, ctx: RiskContext) -> list[Verdict]:
        """Return every rail's answer with its numbers; counts nothing and sends nothing."""
        verdicts = []
        for rail in RAILS:
            asked = not (ctx.request.reduce_only and rail.reducing_passes)
            refusal = rail.check(ctx, self.pace) if asked else None
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

"""Hard ceilings: how loose a limit may ever be made over the network, set only by who can write the host's files."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from engine_service.domain.errors import FieldError, InvalidRequest, Refused
from engine_service.domain.money import plain
from engine_service.risk.policy import RiskPolicy, changed

Ceilings = Mapping[str, Decimal]

#: Limits of which a larger value lets more through; the others have no ceiling.
LOOSER_UPWARDS: Final = (
    "max_notional",
    "symbol_exposure_cap",
    "total_exposure_cap",
    "venue_exposure_cap",
    "strategy_budget_default",
    "leverage_limit",
    "max_drawdown_pct",
    "daily_loss",
    "price_band_bps",
    "price_stale_ms",
    "order_rate_per_min",
    "strategy_order_rate_per_min",
    "max_in_doubt",
    "equity_breaker_drop_pct",
)


def parse_ceilings(values: Mapping[str, object], policy: RiskPolicy) -> Ceilings:
    """Read ceilings; each is within its limit's own range.

    Raises:
        InvalidRequest: ``FIELD_UNKNOWN``: no limit of this name has a ceiling. ``RAIL_RANGE``.
    """
    for name in values:
        if name not in LOOSER_UPWARDS:
            detail = f"{name} has no ceiling; these have: {', '.join(LOOSER_UPWARDS)}"
            raise InvalidRequest("FIELD_UNKNOWN", detail, errors=[FieldError(name[:40], "FIELD_UNKNOWN")])
    at_most = changed(policy, values)
    return {name: getattr(at_most, name) for name in values}


def refuse_above(policy: RiskPolicy, ceilings: Ceilings) -> None:
    """Refuse limits of which one is looser than its ceiling.

    Raises:
        Refused: ``RAIL_ABOVE_CEILING``, with the limit asked for and the ceiling.
    """
    for name, ceiling in sorted(ceilings.items()):
        asked: Decimal = getattr(policy, name)
        if asked > ceiling:
            numbers = {"measured": plain(asked), "limit": plain(ceiling), "acceptable": plain(ceiling)}
            errors = [FieldError(name, "RAIL_ABOVE_CEILING")]
            detail = f"{name} is at most {plain(ceiling)} on this host."
            raise Refused("RAIL_ABOVE_CEILING", detail, errors=errors, numbers=numbers)

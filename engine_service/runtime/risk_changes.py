"""New limits: parsed, journaled with who and why, then in force for every order judged afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine_service.domain import events as e
from engine_service.execution.core import EngineCore
from engine_service.risk.ceilings import Ceilings, refuse_above
from engine_service.risk.policy import RiskPolicy, changed

NO_CEILINGS: Final[Ceilings] = {}


async def change_limits(
    core: EngineCore, changes: Mapping[str, object], principal: str, reason: str, ceilings: Ceilings = NO_CEILINGS
) -> None:
    """Change some limits and leave the rest.

    Raises:
        InvalidRequest: a key is unknown or a value out of range; nothing changes.
        Refused: one of the changed limits would be looser than its ceiling; nothing changes.
        Unavailable: the journal failed.
    """
    policy = changed(core.gate.policy, changes)
    refuse_above(policy, {name: ceiling for name, ceiling in ceilings.items() if name in changes})
    await _put_in_force(core, policy, sorted(changes), principal, reason)


async def reload_limits(core: EngineCore, policy: RiskPolicy, principal: str) -> None:
    """Put the file's limits in force as the next version.

    Raises:
        Unavailable: the journal failed.
    """
    fresh = changed(core.gate.policy, policy.as_text())
    await _put_in_force(core, fresh, list(fresh.as_text()), principal, "config/risk.yaml read again")


async def _put_in_force(core: EngineCore, policy: RiskPolicy, keys: list[str], principal: str, reason: str) -> None:
    values = policy.as_text()
    before = core.gate.policy.as_text()
    event = e.RiskConfigChanged(
        at_ms=core.clock.now_ms(),
        version=policy.version,
        values=values,
        changed={key: values[key] for key in keys if values[key] != before[key]},
        principal=principal,
        reason=reason,
    )
    # In force from this turn on: two changes at once are two versions, and every order judged by one is journaled
    # after it. Where the row does not become durable nothing does, and no order leaves.
    durable = core.record(event)
    core.gate.install(policy)
    await durable

"""Changing a strategy while it runs: journaled first, in force from the next bar on."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine_service.domain import events as e
from engine_service.domain.state import StrategySettings
from engine_service.runtime.engine import Engine
from engine_service.runtime.model_bundle import ModelBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyChange:
    """What to change; ``None`` leaves a thing as it is."""

    enabled: bool | None = None
    dry_run: bool | None = None
    budget: Decimal | None = None
    weight: Decimal | None = None
    bundle: ModelBundle | None = None
    reason: str = ""


def settings_of(engine: Engine, strategy: str) -> StrategySettings:
    """Return a strategy's settings in force: the journal's, or the file's where none were journaled."""
    journaled = engine.core.state.strategy(strategy)
    if journaled is not None:
        return journaled
    config = engine.strategies[strategy]
    return StrategySettings(
        strategy=strategy,
        enabled=config.enabled,
        dry_run=config.dry_run,
        budget=config.budget,
        weight=config.weight,
    )


async def change_strategy(engine: Engine, strategy: str, change: StrategyChange, principal: str) -> None:
    """Journal a change and put it in force.

    Raises:
        Unavailable: the journal failed.
    """
    before = settings_of(engine, strategy)
    now = engine.core.clock.now_ms()
    events: list[e.Event] = []
    if change.bundle is not None:
        events.append(
            e.ModelStored(
                at_ms=now,
                strategy=strategy,
                version=change.bundle.version,
                bundle=change.bundle.text,
                principal=principal,
            )
        )
    events.append(
        e.StrategyChanged(
            at_ms=now,
            strategy=strategy,
            enabled=before.enabled if change.enabled is None else change.enabled,
            dry_run=before.dry_run if change.dry_run is None else change.dry_run,
            budget=before.budget if change.budget is None else change.budget,
            weight=before.weight if change.weight is None else change.weight,
            model_version=before.model_version if change.bundle is None else change.bundle.version,
            principal=principal,
            reason=change.reason,
        )
    )
    await engine.core.commit(*events)
    if change.bundle is not None:
        engine.loop.swap_model(change.bundle)

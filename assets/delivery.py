"""Hands a model version to the engine. The pointer moves only after the engine has taken it."""

from typing import Any

from assets.ports import Engine
from governance.registry import ModelRegistry

REGIME_STRATEGY = "hmm_regime"


def model_in_force(engine: Engine) -> str:
    """Return the version that the engine trades now, empty for none."""
    return str(engine.get_strategy(REGIME_STRATEGY).get("model_version") or "")


def deliver(engine: Engine, registry: ModelRegistry, version: str, reason: str) -> bool:
    """Put a version in force unless it is already; return whether it was sent. Safe to repeat.

    Raises:
        EngineClientError: the engine is away or refuses; what was in force stays in force.
        ModelUntrusted: the stored arrays are not those that were registered.
        DeliveryUnconfirmed: the engine took it and yet trades another version.
    """
    if model_in_force(engine) == version:
        return False
    bundle: dict[str, Any] = registry.bundle(version)
    engine.put_strategy(REGIME_STRATEGY, model=bundle, reason=reason)
    found = model_in_force(engine)
    if found != version:
        raise DeliveryUnconfirmed(f"{version} was sent, the engine has {found or 'none'}")
    return True


class DeliveryUnconfirmed(Exception):
    """The engine does not have the version that it was given."""

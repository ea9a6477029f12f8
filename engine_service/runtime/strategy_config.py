"""``config/strategies.yaml``: one entry per strategy, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine_service.domain.errors import ConfigurationError
from engine_service.yaml_strict import YamlRefused, load_file

KNOWN = ("ma_cross", "hmm_regime", "ensemble")


class StrategyConfig(BaseModel):
    """One strategy's knobs; what a running engine journaled since overrides the first four."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(False, description="Whether it runs at all.")
    dry_run: bool = Field(True, description="Journal what it would send, and send nothing.")
    budget: Decimal = Field(Decimal(0), ge=0, le=1_000_000, description="Most exposure it may hold; 0 means none.")
    weight: Decimal = Field(Decimal(0), ge=0, le=1, description="Its voice in the ensemble.")
    order_notional: Decimal = Field(Decimal(100), gt=0, le=100_000, description="Full size of one entry.")
    fast: int = Field(9, ge=1, le=500, description="Fast window in bars (ma_cross).")
    slow: int = Field(21, ge=2, le=1000, description="Slow window in bars (ma_cross).")
    cooldown_s: float = Field(30.0, ge=0, le=86_400, description="Least time between new exposures (hmm_regime).")
    confidence_gate: float = Field(0.5, ge=0, le=1, description="Least posterior that acts (hmm_regime).")
    round_trip_cost_bps: float = Field(25.0, ge=0, le=1000, description="Cost a regime must earn (hmm_regime).")
    gate: float = Field(0.6, gt=0, le=1, description="Least agreement that opens exposure (ensemble).")
    step_limit_ms: float = Field(
        100.0,
        gt=0,
        le=10_000,
        description="A step of more CPU time is slow; 3 of the last 20 stand the strategy down.",
    )
    brackets: bool = Field(True, description="Whether filled entries get take-profit and stop-loss.")
    take_profit_bps: Decimal = Field(Decimal(20), gt=0, le=10_000, description="Take-profit distance.")
    stop_loss_bps: Decimal = Field(Decimal(30), gt=0, le=10_000, description="Stop-loss distance.")


def load_strategies(path: Path) -> dict[str, StrategyConfig]:
    """Return the configuration of every known strategy; one without an entry is off.

    Raises:
        ConfigurationError: ``CONFIG_INVALID``, naming the file, strategy, key, value and what is allowed.
    """
    try:
        values = load_file(path) if path.exists() else {}
    except YamlRefused as error:
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {error}") from error
    unknown = sorted(set(values) - set(KNOWN))
    if unknown:
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {unknown[0]} is not a strategy; known: {', '.join(KNOWN)}")
    return {name: _parsed(path, name, values.get(name, {})) for name in KNOWN}


def _parsed(path: Path, name: str, entry: object) -> StrategyConfig:
    if not isinstance(entry, Mapping):
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {name} must hold keys and values")
    try:
        config = StrategyConfig.model_validate(dict(entry))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        raise ConfigurationError(
            "CONFIG_INVALID", f"{path}: {name}.{key} = {str(first.get('input'))[:60]}: {first['msg']}"
        ) from error
    if config.fast >= config.slow:
        raise ConfigurationError(
            "CONFIG_INVALID", f"{path}: {name}.fast = {config.fast}: must be below slow = {config.slow}"
        )
    return config

"""What is set for each strategy: what was journaled beats the file."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from engine_service.execution.core import EngineCore
from engine_service.runtime.strategy_config import StrategyConfig


class SettingsInForce:
    """The switches of strategies; ``configs`` is the file's word by strategy."""

    def __init__(self, core: EngineCore, configs: Mapping[str, StrategyConfig]) -> None:
        self._core = core
        self.configs = configs

    def enabled(self, strategy: str) -> bool:
        """Tell whether its signals count."""
        settings = self._core.state.strategy(strategy)
        return settings.enabled if settings else self.configs[strategy].enabled

    def dry_run(self, strategy: str) -> bool:
        """Tell whether its orders are written down instead of sent."""
        settings = self._core.state.strategy(strategy)
        return settings.dry_run if settings else self.configs[strategy].dry_run

    def weight(self, strategy: str) -> Decimal:
        """Return its voice in the ensemble, from 0."""
        settings = self._core.state.strategy(strategy)
        return settings.weight if settings else self.configs[strategy].weight

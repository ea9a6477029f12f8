"""What ``config/stress.yaml`` may hold: every key with its range."""

from pydantic import BaseModel, ConfigDict, Field

from assets.settings import ResearchSettings
from strategies.stress import StressOptions


class StressSettings(BaseModel):
    """``config/stress.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    every_hours: int = Field(ge=1, le=24, description="Hours between two stress tests.")
    paths: int = Field(ge=20, le=100_000, description="Paths per symbol and source.")
    bars: int = Field(ge=10, le=100_000, description="Bars of a path.")
    block_bars: float = Field(ge=1, le=1000, description="Mean length of recorded stretches drawn together.")
    level: float = Field(ge=0.5, le=0.999, description="Level of the tail measures.")
    ruin_frac: float = Field(gt=0, le=1, description="Drawdown at which a path is ruined.")

    def options(self, research: ResearchSettings) -> StressOptions:
        """Return the rule's own form, with the costs and the seed that training uses."""
        return StressOptions(
            paths=self.paths,
            bars=self.bars,
            seed=research.training.seed,
            block_bars=self.block_bars,
            cost_bps=research.training.cost_bps,
            bar_ms=research.bar_ms,
            level=self.level,
            ruin_frac=self.ruin_frac,
        )

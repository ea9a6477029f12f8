"""What ``config/decisions.yaml`` may hold: every key with its range."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from strategies.bandit import BanditOptions
from strategies.reinforcement import ImprovementOptions

Minutes = Annotated[int, Field(ge=1, le=60)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BanditSettings(_Part):
    """Section ``bandit``."""

    every_minutes: Minutes = Field(description="Minutes between two looks at the outcomes.")
    horizon_bars: int = Field(ge=1, le=1000, description="Bars after which a strategy's fill is judged.")
    max_outcomes: int = Field(ge=100, le=1_000_000, description="Newest outcomes that are learned from.")
    shrinkage: float = Field(gt=0, le=10_000, description="Outcomes that say zero, against those that were seen.")
    courage: float = Field(ge=0, le=10, description="Weight of the upper confidence bound.")
    temperature_bps: float = Field(gt=0, le=1000, description="Difference of bounds that counts e times.")
    floor: float = Field(gt=0, le=0.5, description="Least propensity.")
    prior_spread_bps: float = Field(gt=0, le=10_000, description="Spread of outcomes before there are some.")

    def options(self) -> BanditOptions:
        """Return the rule's own form."""
        return BanditOptions(**self.model_dump(exclude={"every_minutes", "horizon_bars", "max_outcomes"}))


class ImprovementSettings(_Part):
    """Section ``improvement``."""

    min_rows: int = Field(ge=20, le=1_000_000, description="Fewest logged rows.")
    min_effective: float = Field(ge=1, le=1_000_000, description="Fewest rows that the weights must leave.")
    trust_region: float = Field(gt=0, le=5, description="Most nats from the policy in force.")
    level: float = Field(ge=0.5, le=0.999, description="One-sided level of the lower bound.")
    shrinkage: float = Field(ge=0, le=10_000, description="Rows that say zero, against those that were seen.")

    def options(self) -> ImprovementOptions:
        """Return the rule's own form."""
        return ImprovementOptions(**self.model_dump())


class LearningSettings(_Part):
    """``config/decisions.yaml``."""

    bandit: BanditSettings = Field(description="Attention among situations and strategies.")
    improvement: ImprovementSettings = Field(description="Better policies from the log.")

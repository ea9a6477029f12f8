"""What the files in ``config/`` may hold for the decision rules: one model per file, every key with its range."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from assets.advice_settings import AdviceSettings
from assets.learning_settings import LearningSettings
from assets.parity_settings import ParitySettings
from assets.pooling_settings import PoolingSettings
from assets.situation_settings import SituationSettings
from assets.stress_settings import StressSettings
from strategies.screening import ScreeningOptions
from strategies.slippage import SlippageOptions

Share = Annotated[float, Field(ge=0, le=1)]
Bars = Annotated[int, Field(ge=2, le=10_000)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ScreenerSettings(_File):
    """``config/screener.yaml``."""

    every_minutes: int = Field(ge=1, le=60, description="Minutes between two screenings.")
    momentum_bars: Bars = Field(description="Bars whose drift is measured.")
    reversal_bars: Bars = Field(description="Newest bars, whose move is expected to turn around.")
    flow_bars: Bars = Field(description="Bars whose volume is signed by their direction.")
    volatility_bars: Bars = Field(description="Bars behind the volatility.")
    horizon_bars: Bars = Field(description="Bars that alpha looks ahead.")
    momentum_weight: float = Field(ge=-10, le=10, description="Weight of momentum in the score.")
    reversal_weight: float = Field(ge=-10, le=10, description="Weight of reversal in the score.")
    flow_weight: float = Field(ge=-10, le=10, description="Weight of flow in the score.")
    information_coefficient: Share = Field(description="Correlation of score and following return that is believed.")
    cost_bps: float = Field(ge=0, le=1000, description="Cost of getting in and out.")
    min_turnover: float = Field(ge=0, description="Traded quote value per bar, at least.")
    min_depth: float = Field(ge=0, description="Quote value of the thinner side of the book's top, at least.")
    max_volatility_rank: Share = Field(description="Highest place by volatility that may be picked.")
    top_k: int = Field(ge=1, le=500, description="Picks of each side.")

    def options(self) -> ScreeningOptions:
        """Return the rule's own form."""
        return ScreeningOptions(**self.model_dump(exclude={"every_minutes"}))


class SlippageSettings(_File):
    """``config/slippage.yaml``."""

    every_minutes: int = Field(ge=1, le=60, description="Minutes between two fits.")
    min_orders: int = Field(ge=50, le=1_000_000, description="Fewest filled orders to learn from.")
    max_orders: int = Field(ge=50, le=1_000_000, description="Newest filled orders that are learned from.")
    holdout_frac: float = Field(ge=0.1, le=0.5, description="Share of the orders, the newest, that judges.")
    upper_quantile: float = Field(ge=0.5, le=0.99, description="Quantile that is the bad case.")
    window_bars: int = Field(ge=5, le=1000, description="Bars before an order that tell its conditions.")
    order_notional: Decimal = Field(gt=0, description="Quote value of the order that the page's tactics are for.")
    ioc_limit_bps: float = Field(ge=0, le=1000, description="Expected slippage up to which an order is an IOC limit.")
    market_bps: float = Field(ge=0, le=1000, description="Expected slippage up to which it goes at market.")

    @field_validator("market_bps")
    @classmethod
    def _above_limit(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("ioc_limit_bps", value):
            raise ValueError("must not be below ioc_limit_bps")
        return value

    def options(self) -> SlippageOptions:
        """Return the rule's own form."""
        return SlippageOptions(
            min_orders=self.min_orders,
            holdout_frac=self.holdout_frac,
            upper_quantile=self.upper_quantile,
            ioc_limit_bps=self.ioc_limit_bps,
            market_bps=self.market_bps,
        )


DECISION_FILES: Mapping[str, type[BaseModel]] = {
    "screener.yaml": ScreenerSettings,
    "slippage.yaml": SlippageSettings,
    "situations.yaml": SituationSettings,
    "decisions.yaml": LearningSettings,
    "stress.yaml": StressSettings,
    "pooling.yaml": PoolingSettings,
    "parity.yaml": ParitySettings,
    "advice.yaml": AdviceSettings,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSettings:
    """Everything the decision assets are told from outside, beside ``ResearchSettings``."""

    screener: ScreenerSettings
    slippage: SlippageSettings
    situations: SituationSettings
    learning: LearningSettings
    stress: StressSettings
    pooling: PoolingSettings
    parity: ParitySettings
    advice: AdviceSettings

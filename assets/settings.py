"""What the files in ``config/`` may hold, for the research half: one model per file, every key with its range.

Scalars arrive as text (the YAML reader guesses no types) and get theirs here. An unknown or missing key is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from assets.intervals import INTERVAL_MS
from governance.allocator import CapitalPolicy
from governance.promotion import PromotionPolicy
from strategies.regimes.fit import FitOptions
from strategies.research.walk_forward import WalkForwardOptions
from strategies.universe import UniversePolicy

YEAR_MS = 365 * 86_400_000


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


MaybeFloat = Annotated[float | None, BeforeValidator(_empty_is_none)]
MaybeCount = Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_empty_is_none)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class UniverseSettings(_File):
    """``config/universe.yaml``."""

    quote_assets: tuple[str, ...] = Field(min_length=1, description="Quote currencies that are considered.")
    excluded_bases: tuple[str, ...] = Field(description="Base currencies that are never considered.")
    min_turnover: Positive = Field(description="Quote turnover per 24 h that lets an instrument in.")
    keep_turnover: Positive = Field(description="Quote turnover per 24 h that keeps an active one in.")
    max_active: int = Field(ge=1, le=2000, description="Most active instruments.")
    quarantine_s: int = Field(ge=0, description="Seconds in quarantine, at least.")
    quarantine_clean_scans: int = Field(ge=1, description="Clean scans in a row that end quarantine.")
    retire_after_s: int = Field(ge=60, description="Seconds after which a demoted instrument is retired.")
    admit_first_scan: bool = Field(description="Whether the very first scan admits what passes at once.")

    @field_validator("keep_turnover")
    @classmethod
    def _below_entry(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("min_turnover", value):
            raise ValueError("must not exceed min_turnover")
        return value

    def policy(self) -> UniversePolicy:
        """Return the rule's own form."""
        return UniversePolicy(**self.model_dump())


class BackfillSettings(_File):
    """``config/backfill.yaml``."""

    first_day: date = Field(description="First daily partition, YYYY-MM-DD.")
    parallel: int = Field(ge=1, le=32, description="Requests under way at once.")
    recheck_after_s: int = Field(ge=0, description="Seconds until a bar the venue lacked is asked for again.")
    recheck_days: int = Field(ge=0, description="Days for which it is asked for again.")
    flush_rows: int = Field(ge=1000, description="Bars held in memory before they are written.")


class TrainingSettings(_File):
    """``config/training.yaml``."""

    window_bars: int = Field(ge=100, description="Newest bars per symbol that a fit sees.")
    min_bars: int = Field(ge=100, description="Fewest bars a fit accepts.")
    features: tuple[str, ...] = Field(min_length=1, description="Features the regimes are made of.")
    candidates: tuple[Annotated[int, Field(ge=1, le=8)], ...] = Field(
        min_length=1, description="Numbers of regimes that are tried."
    )
    starts: int = Field(ge=1, le=50, description="Starts per fit.")
    iterations: int = Field(ge=5, le=1000, description="Most iterations per start.")
    covariance: Literal["diag", "full"] = Field(description="Whether features move on their own within a regime.")
    stickiness: float = Field(ge=0, description="Prior weight on staying in a regime.")
    min_occupancy_frac: Share = Field(description="Least share of bars in every regime.")
    min_dwell_bars: float = Field(ge=1, description="Least expected stay in every regime, in bars.")
    min_refit_agreement: float = Field(ge=0, le=1, description="Least agreement of two refits (adjusted Rand).")
    seed: int = Field(ge=0, description="Seed of every random start.")
    folds: int = Field(ge=1, le=100, description="Walk-forward folds.")
    train_share: float = Field(gt=0, lt=1, description="Share of the window that is only trained on.")
    purge_bars: int = Field(ge=0, description="Bars before each judged fold that are not trained on.")
    embargo_bars: int = Field(default=0, ge=0, description="Bars at the beginning of each fold that are not judged.")
    cost_bps: float = Field(ge=0, le=1000, description="Cost per unit of turnover, in basis points.")

    def fit_options(self) -> FitOptions:
        """Return the fit's own form."""
        return FitOptions(
            candidates=self.candidates,
            features=self.features,
            starts=self.starts,
            iterations=self.iterations,
            covariance=self.covariance,
            stickiness=self.stickiness,
            min_occupancy_frac=self.min_occupancy_frac,
            min_dwell_bars=self.min_dwell_bars,
            min_refit_agreement=self.min_refit_agreement,
            seed=self.seed,
        )

    def walk_options(self, bar_ms: int) -> WalkForwardOptions:
        """Return the walk's own form for bars of ``bar_ms`` milliseconds."""
        return WalkForwardOptions(
            folds=self.folds,
            train_share=self.train_share,
            purge=self.purge_bars,
            embargo=self.embargo_bars,
            cost_bps=self.cost_bps,
            bars_per_year=YEAR_MS / bar_ms,
        )


class PromotionGates(_File):
    """One profile of ``config/promotion.yaml``."""

    min_symbols: int = Field(ge=1, description="Symbols with a model.")
    min_folds: int = Field(ge=1, description="Walk-forward folds over all symbols.")
    min_bars: int = Field(ge=1, description="Out-of-sample bars over all symbols.")
    min_trades: MaybeCount = Field(description="Changes of exposure on those bars, over all symbols.")
    min_converged_frac: Share = Field(description="Share of the fits that converged.")
    min_likelihood_gain: float = Field(description="Held-out nats per bar above one Gaussian.")
    min_occupancy_frac: Share = Field(description="Share of bars in the rarest regime.")
    min_dwell_bars: float = Field(ge=0, description="Expected stay in the shortest regime, in bars.")
    min_sharpe_low: MaybeFloat = Field(description="Lower end of the Sharpe ratio's 95 % interval.")
    max_drawdown_frac: Share = Field(description="Worst fall from a peak, out of sample.")
    max_turnover_per_day: MaybeFloat = Field(description="Traded notional per equity and day.")
    max_sharpe_loss: MaybeFloat = Field(description="How much less Sharpe than the champion's is accepted.")
    max_stress_shortfall_frac: MaybeFloat = Field(description="Worst expected shortfall over drawn markets.")
    approval_required: bool = Field(description="Whether a person must approve.")

    def policy(self) -> PromotionPolicy:
        """Return the rule's own form."""
        return PromotionPolicy(**self.model_dump())


class PromotionSettings(_File):
    """``config/promotion.yaml``."""

    paper: PromotionGates = Field(description="Gates for simulated and paper money.")
    live: PromotionGates = Field(description="Gates for real money.")


class CapitalSettings(_File):
    """``config/capital_policy.yaml``."""

    pool_frac: Decimal = Field(ge=0, le=1, description="Share of equity that all strategies share.")
    raise_at_sharpe: float = Field(description="Sharpe ratio from which a budget is raised.")
    raise_frac: Decimal = Field(ge=0, le=1, description="By which share it is raised.")
    cut_below_sharpe: float = Field(description="Sharpe ratio below which a budget is cut.")
    cut_frac: Decimal = Field(ge=0, lt=1, description="By which share it is cut.")
    cooldown_s: int = Field(ge=0, description="Seconds between two steps of one strategy.")
    min_budget: Decimal = Field(ge=0, description="Smallest budget of a funded strategy.")
    max_budget: Decimal = Field(gt=0, description="Largest budget of a strategy.")
    min_sharpe_bars: int = Field(ge=2, description="Fewest bars behind a Sharpe ratio that counts.")

    def policy(self) -> CapitalPolicy:
        """Return the rule's own form."""
        return CapitalPolicy(**self.model_dump(exclude={"min_sharpe_bars"}))


class AlertSettings(_File):
    """``config/alerts.yaml``."""

    urls: tuple[str, ...] = Field(description="Apprise addresses; ${NAME} takes an environment variable.")
    repeat_after_s: float = Field(ge=10, description="Seconds after which a lasting condition is repeated.")
    max_reconcile_lag_s: float = Field(ge=1, description="Seconds since the last complete reconciliation.")
    engine_timeout_s: float = Field(gt=0, le=30, description="Seconds the engine may take to answer.")


CONFIG_FILES: Mapping[str, type[_File]] = {
    "universe.yaml": UniverseSettings,
    "backfill.yaml": BackfillSettings,
    "training.yaml": TrainingSettings,
    "promotion.yaml": PromotionSettings,
    "capital_policy.yaml": CapitalSettings,
    "alerts.yaml": AlertSettings,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchSettings:
    """Everything the assets are told from outside, as one value.

    Args:
        market: ``spot`` or ``futures``.
        interval: bar length, a key of ``assets.intervals.INTERVAL_MS``.
        symbols: the only instruments to use, as ``BTCUSDT.BINANCE``; empty for all that the universe admits.
        code_commit: git commit of this code, empty where there is none.
    """

    market: str
    interval: str
    symbols: tuple[str, ...]
    code_commit: str
    universe: UniverseSettings
    backfill: BackfillSettings
    training: TrainingSettings
    gates: PromotionGates
    capital: CapitalSettings

    @property
    def bar_ms(self) -> int:
        """Bar length in milliseconds."""
        return INTERVAL_MS[self.interval]

"""What ``config/situations.yaml`` may hold: every key with its range; a wrong one is named with its place."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from strategies.features import FEATURES
from strategies.situations import Condition, Operator, Rule

Value = Annotated[float, Field(ge=-1e9, le=1e9)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _OnFeature(_Part):
    feature: str = Field(description="A feature of strategies/features.py.")

    @field_validator("feature")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in FEATURES:
            raise ValueError(f"allowed: {', '.join(FEATURES)}")
        return value


class Threshold(_OnFeature):
    """A comparison with one value."""

    op: Literal[">", "<", "crosses_up", "crosses_down"] = Field(description="How the feature is compared.")
    value: Value = Field(description="With what.")

    def condition(self) -> Condition:
        """Return the rule's own form."""
        return Condition(feature=self.feature, operator=Operator(self.op), value=self.value)


class Between(_OnFeature):
    """A comparison with two values, both included."""

    op: Literal["between"] = Field(description="How the feature is compared.")
    low: Value = Field(description="From here.")
    high: Value = Field(description="Up to here.")

    @field_validator("high")
    @classmethod
    def _not_below(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("low", value):
            raise ValueError("must not be below low")
        return value

    def condition(self) -> Condition:
        """Return the rule's own form."""
        return Condition(feature=self.feature, operator=Operator.BETWEEN, value=self.low, high=self.high)


class RuleSettings(_Part):
    """One rule."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Its name, lower case.")
    side: Literal["LONG", "SHORT"] = Field(description="Which way its outcome is counted.")
    priority: float = Field(gt=0, le=100, description="Its weight against other rules.")
    when: tuple[Annotated[Threshold | Between, Field(discriminator="op")], ...] = Field(
        min_length=1, max_length=20, description="Conditions that must all hold."
    )
    cooldown_s: float = Field(ge=0, le=604_800, description="Seconds between two hits in one symbol.")
    horizon_bars: int = Field(ge=1, le=1000, description="Bars until the outcome is read.")
    min_turnover: float = Field(ge=0, description="Depth gate: traded quote value per bar.")
    min_novelty: float = Field(ge=0, le=100, description="Distance to every remembered hit, in deviations.")
    only_screened: bool = Field(description="Whether only symbols count that the screening picked for this side.")

    def rule(self) -> Rule:
        """Return the rule's own form."""
        return Rule(
            name=self.name,
            direction=1 if self.side == "LONG" else -1,
            conditions=tuple(condition.condition() for condition in self.when),
            priority=self.priority,
            cooldown_s=self.cooldown_s,
            horizon_bars=self.horizon_bars,
            min_turnover=self.min_turnover,
            min_novelty=self.min_novelty,
            only_screened=self.only_screened,
        )


class SituationSettings(_Part):
    """``config/situations.yaml``."""

    every_minutes: int = Field(ge=1, le=60, description="Minutes between two looks.")
    history_bars: int = Field(ge=60, le=5000, description="Bars that the first look takes in.")
    cost_bps: float = Field(ge=0, le=1000, description="Cost of getting in and out.")
    rules: tuple[RuleSettings, ...] = Field(min_length=1, max_length=200, description="The rules.")

    @field_validator("rules")
    @classmethod
    def _names_differ(cls, value: tuple[RuleSettings, ...]) -> tuple[RuleSettings, ...]:
        names = [rule.name for rule in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules are called {', '.join(twice)}")
        return value

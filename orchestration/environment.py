"""The research half's settings: ``NHMM_...`` variables and the files in ``config/``. A wrong value names itself."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from assets.advice_settings import AdviceSettings
from assets.decision_settings import DecisionSettings, ScreenerSettings, SlippageSettings
from assets.intervals import INTERVAL_MS
from assets.learning_settings import LearningSettings
from assets.parity_settings import ParitySettings
from assets.pooling_settings import PoolingSettings
from assets.settings import (
    AlertSettings,
    BackfillSettings,
    CapitalSettings,
    PromotionSettings,
    ResearchSettings,
    TrainingSettings,
    UniverseSettings,
)
from assets.situation_settings import SituationSettings
from assets.stress_settings import StressSettings
from engine_service.yaml_strict import YamlRefused, load_file
from observability.variables import PREFIX

ROOT = Path(__file__).resolve().parents[1]
M = TypeVar("M", bound=BaseModel)
_SYMBOL = re.compile(r"^[A-Z0-9_\-]{2,32}\.[A-Z]{2,16}$")
_URL = re.compile(r"^https?://[A-Za-z0-9.\-]+(:\d{1,5})?$")


def _full(symbol: str) -> str:
    """Return ``BTCUSDT.BINANCE`` also for the venue's own ``BTCUSDT``, as the engine takes it."""
    return symbol if "." in symbol else f"{symbol}.BINANCE"


class ConfigurationInvalid(ValueError):
    """A variable or a file holds what it must not; the message names it, the value and what is allowed."""


class Environment(BaseModel):
    """Every ``NHMM_...`` variable that the research half reads; the field's name in capitals behind the prefix."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(Path("data"), description="Data folder.")
    config: Path = Field(ROOT / "config", description="Folder of the configuration files.")
    venue: Literal["binance", "binance-futures", "paper"] = Field(
        "binance", description="binance, binance-futures, or paper (public data of binance)."
    )
    venue_url: str = Field("", description="Replaces the venue's host; empty for the venue itself.")
    engine_url: str = Field("http://127.0.0.1:8003", description="The engine's address.")
    token_file: Path | None = Field(None, description="The engine's tokens; NHMM_HOME/engine/tokens.json if empty.")
    bar_interval: str = Field("1m", description="Bar length: 1s, 1m, 3m, 5m, 15m, 30m or 1h.")
    symbols: tuple[str, ...] = Field((), description="Only these, e.g. BTCUSDT,ETHUSDT; empty: all.")
    max_symbols: int | None = Field(None, ge=1, le=2000, description="Most active symbols; overrides universe.yaml.")
    min_turnover: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Quote turnover per 24 h to be used; overrides universe.yaml."
    )
    promotion: Literal["paper", "live"] = Field("paper", description="Which gates of promotion.yaml are in force.")
    compute: Literal["serial", "loky"] = Field("serial", description="Where fits run: in the run, or in processes.")
    compute_workers: int = Field(2, ge=1, le=256, description="Processes for NHMM_COMPUTE=loky.")
    schedules: Literal["on", "off"] = Field(
        "on", description="Whether schedules and sensors start switched on; the UI switches each one."
    )

    @field_validator("bar_interval")
    @classmethod
    def _known_interval(cls, value: str) -> str:
        if value not in INTERVAL_MS:
            raise ValueError(f"allowed: {', '.join(INTERVAL_MS)}")
        return value

    @field_validator("symbols", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        names = tuple(_full(part.strip().upper()) for part in parts if part.strip())
        if any(not _SYMBOL.fullmatch(name) for name in names):
            raise ValueError("allowed: names such as BTCUSDT, separated by commas")
        return names

    @field_validator("venue_url", "engine_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        if value and not _URL.fullmatch(value.rstrip("/")):
            raise ValueError("allowed: http(s)://HOST[:PORT]")
        return value.rstrip("/")

    @property
    def market(self) -> str:
        return "futures" if self.venue == "binance-futures" else "spot"

    @property
    def tokens(self) -> Path:
        return self.token_file or self.home / "engine" / "tokens.json"


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything the definitions are built from."""

    environment: Environment
    research: ResearchSettings
    alerts: AlertSettings
    decisions: DecisionSettings


def load(variables: Mapping[str, str] | None = None) -> Configuration:
    """Read variables (the process's own by default) and files.

    Raises:
        ConfigurationInvalid: something is wrong; the message says where, what and what is allowed.
    """
    environment = read_environment(os.environ if variables is None else variables)
    folder = environment.config
    universe = _overridden(read_config(folder / "universe.yaml", UniverseSettings), environment)
    promotion = read_config(folder / "promotion.yaml", PromotionSettings)
    research = ResearchSettings(
        market=environment.market,
        interval=environment.bar_interval,
        symbols=environment.symbols,
        code_commit=code_commit(),
        universe=universe,
        backfill=read_config(folder / "backfill.yaml", BackfillSettings),
        training=read_config(folder / "training.yaml", TrainingSettings),
        gates=promotion.live if environment.promotion == "live" else promotion.paper,
        capital=read_config(folder / "capital_policy.yaml", CapitalSettings),
    )
    alerts = read_config(folder / "alerts.yaml", AlertSettings)
    decisions = DecisionSettings(
        screener=read_config(folder / "screener.yaml", ScreenerSettings),
        slippage=read_config(folder / "slippage.yaml", SlippageSettings),
        situations=read_config(folder / "situations.yaml", SituationSettings),
        learning=read_config(folder / "decisions.yaml", LearningSettings),
        stress=read_config(folder / "stress.yaml", StressSettings),
        pooling=read_config(folder / "pooling.yaml", PoolingSettings),
        parity=read_config(folder / "parity.yaml", ParitySettings),
        advice=read_config(folder / "advice.yaml", AdviceSettings),
    )
    return Configuration(environment=environment, research=research, alerts=alerts, decisions=decisions)


def _overridden(universe: UniverseSettings, environment: Environment) -> UniverseSettings:
    changes: dict[str, float] = {}
    if environment.max_symbols is not None:
        changes["max_active"] = environment.max_symbols
    if environment.min_turnover is not None:
        changes["min_turnover"] = environment.min_turnover
        changes["keep_turnover"] = min(environment.min_turnover, universe.keep_turnover)
    return universe.model_copy(update=changes)


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Return the variables that are set, over the defaults; relative folders become absolute.

    Raises:
        ConfigurationInvalid: a value is not allowed.
    """
    given = {
        key: variables[PREFIX + key.upper()] for key in Environment.model_fields if variables.get(PREFIX + key.upper())
    }
    try:
        found = Environment.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        raise ConfigurationInvalid(
            f"environment: {PREFIX}{key.upper()} = {given.get(key, '')[:60]}: {first['msg']}"
        ) from error
    return found.model_copy(
        update={"home": found.home.expanduser().resolve(), "config": found.config.expanduser().resolve()}
    )


def read_config(path: Path, model: type[M]) -> M:
    """Return a configuration file as its model.

    Raises:
        ConfigurationInvalid: the file is missing, is not plain YAML, or a key is unknown, missing or out of range.
    """
    try:
        return model.model_validate(load_file(path))
    except YamlRefused as error:
        raise ConfigurationInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "file"
        raise ConfigurationInvalid(f"{path}: {key} = {str(first.get('input'))[:60]}: {first['msg']}") from error


def code_commit() -> str:
    """Return the checkout's commit, empty where this is not a checkout or git is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

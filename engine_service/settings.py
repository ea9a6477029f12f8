"""The engine's settings: a flag beats an ``NHMM_...`` variable, which beats ``config/engine.yaml``.

A wrong value is refused before anything starts, naming where it stands, the key, the value (never a secret's) and what
is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from engine_service.domain.errors import ConfigurationError
from engine_service.yaml_strict import YamlRefused, load_file
from observability.variables import PREFIX

VenueName = Literal["binance", "binance-futures", "paper"]
SECRET_KEYS = ("api_key", "api_secret")
SHORTEST_DEAD_MAN_S = 5.0
_URL = re.compile(r"https?://[A-Za-z0-9.\-]+(:\d{1,5})?")


class EngineSettings(BaseModel):
    """Every knob of the engine process. Field descriptions are the configuration reference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(Path("data"), description="Data folder; the journal lives in its engine/ subfolder.")
    host: str = Field("127.0.0.1", description="Address to listen on; only loopback is allowed.")
    port: int = Field(8003, ge=1, le=65535, description="Port to listen on.")
    venue: VenueName = Field("paper", description="binance, binance-futures or paper.")
    venue_url: str | None = Field(None, description="Replaces every host of the venue (simulated exchange, test net).")
    order_entry: Literal["rest", "websocket"] = Field(
        "websocket", description="How spot orders travel: over the venue's WebSocket API while it is up, or REST."
    )
    paper_latency_ms: int = Field(
        20, ge=0, le=5000, description="Paper money only: how long an order travels; 0 answers in the same commit."
    )
    interval: Literal["1s", "1m", "3m", "5m", "15m", "30m", "1h"] = Field("1m", description="Bar length.")
    symbols: tuple[str, ...] = Field(
        ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"),
        description="Instruments the strategies watch, as the venue names them.",
    )
    strategies: Literal["on", "off"] = Field("on", description="Whether the strategy loop runs.")
    reporting_asset: str = Field("USDT", pattern=r"^[A-Z0-9]{2,10}$", description="Currency of all valuations.")
    account_is_shared: bool = Field(
        False, description="false: an order or fill of someone else halts trading; true: it is adopted."
    )
    reconcile_every_s: float = Field(30.0, ge=5, le=3600, description="Seconds between comparisons with the venue.")
    snapshot_every_s: float = Field(300.0, ge=10, le=86_400, description="Seconds between state snapshots.")
    checkpoint_file: Path | None = Field(
        None, description="Where the journal's checkpoints are appended; none: checkpoints.jsonl in the data folder."
    )
    idempotency_ttl_s: float = Field(
        600.0, ge=60, le=86_400, description="How long the answer to an order is replayed."
    )
    dead_man_s: float = Field(
        0.0,
        ge=0,
        le=600,
        description="The venue cancels open orders after this many seconds without a word of the engine, where it can "
        "(USD-M); 0 is off, at least 5.",
    )
    two_person_resume: bool = Field(
        False, description="true: who halted trading cannot lift the halt; another caller with an admin token has to."
    )
    submit_deadline_s: float = Field(2.5, ge=0.5, le=30, description="After this an order's answer is 202 IN_DOUBT.")
    max_concurrent_requests: int = Field(
        128, ge=8, le=1024, description="Beyond this the engine answers 503; one caller has three quarters at most."
    )
    reads_per_min: int = Field(
        600,
        ge=60,
        le=6_000_000,
        description="Reads of a named caller a minute; of an own token 100 times as many.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING"] = Field("INFO", description="Least severe record that is written.")
    api_key: SecretStr = Field(SecretStr(""), description="Venue key; BINANCE_API_KEY or a file.")
    api_secret: SecretStr = Field(SecretStr(""), description="Venue secret; BINANCE_API_SECRET or a file.")

    @field_validator("host")
    @classmethod
    def _loopback_only(cls, value: str) -> str:
        address = "127.0.0.1" if value == "localhost" else value
        try:
            loopback = ip_address(address).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ValueError("only a loopback address is allowed; put a TLS proxy in front to serve other machines")
        return address

    @field_validator("dead_man_s")
    @classmethod
    def _long_enough(cls, value: float) -> float:
        if 0 < value < SHORTEST_DEAD_MAN_S:
            raise ValueError(f"0, or at least {SHORTEST_DEAD_MAN_S:g} seconds: it has to outlast a restart of a stream")
        return value

    @field_validator("venue_url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is not None and not _URL.fullmatch(value.rstrip("/")):
            raise ValueError("must be http(s)://HOST[:PORT]")
        return value.rstrip("/") if value else None

    @field_validator("symbols", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        names = tuple(str(part).strip().upper() for part in parts if str(part).strip())
        if any(not re.fullmatch(r"[A-Z0-9]{2,20}", name) for name in names):
            raise ValueError("names such as BTCUSDT, separated by commas")
        return names

    @property
    def engine_folder(self) -> Path:
        return self.home / "engine"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from, for messages."""

    name: str
    values: Mapping[str, Any]


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str], config_dir: Path) -> EngineSettings:
    """Merge flags (``None`` means not given), environment and ``engine.yaml``.

    Raises:
        ConfigurationError: code ``CONFIG_INVALID``; the message says where, what and what is allowed.
    """
    sources = [
        Source(str(config_dir / "engine.yaml"), _from_file(config_dir / "engine.yaml")),
        Source("environment", _from_environment(environment)),
        Source("command line", {key: value for key, value in flags.items() if value is not None}),
    ]
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source in sources:
        for key, value in source.values.items():
            merged[key] = value
            origin[key] = source.name
    try:
        return EngineSettings.model_validate(merged)
    except ValidationError as error:
        raise ConfigurationError("CONFIG_INVALID", _explain(error, origin)) from error


def _from_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return {key: None if value in ("", "null") else value for key, value in load_file(path).items()}
    except YamlRefused as error:
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {
        key: environment[PREFIX + key.upper()]
        for key in EngineSettings.model_fields
        if key not in SECRET_KEYS and PREFIX + key.upper() in environment
    }
    for key in SECRET_KEYS:
        secret = _secret(environment, f"BINANCE_{key.upper()}")
        if secret is not None:
            values[key] = secret
    return values


def _secret(environment: Mapping[str, str], name: str) -> str | None:
    if name in environment:
        return environment[name]
    file = environment.get(f"{name}_FILE")
    if file is None:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("CONFIG_INVALID", f"environment: {name}_FILE cannot be read") from error


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    key = str(first["loc"][0]) if first["loc"] else "settings"
    place = origin.get(key, "settings")
    shown = "***" if key in SECRET_KEYS else str(first.get("input"))[:60]
    if first["type"] == "extra_forbidden":
        known = ", ".join(name for name in EngineSettings.model_fields if name not in SECRET_KEYS)
        return f"{place}: {key} is not a setting; known: {known}"
    return f"{place}: {key} = {shown}: {first['msg']}"


def default_config_dir() -> Path:
    """Return the checkout's own ``config`` folder, or ``NHMM_CONFIG``."""
    return Path(os.environ.get("NHMM_CONFIG", str(Path(__file__).resolve().parents[1] / "config")))

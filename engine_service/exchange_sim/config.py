"""What the exchange is started with, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from engine_service.exchange_sim.funding import DEFAULT_FUNDING_INTERVAL_MS
from engine_service.exchange_sim.model import AccountSpec

DEFAULT_PORT = 8010
DEFAULT_HISTORY_S = 3 * 3600


class ConfigError(Exception):
    """A setting that cannot work: names the argument, its value and what is allowed, in one line."""

    def __init__(self, argument: str, value: object, allowed: str) -> None:
        super().__init__(f"{argument}: {value!r} is not allowed; allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """Settings of one exchange process.

    Attributes:
        accounts: who may trade.
        seed: of the market and of faults' chance.
        fee_bps: of the notional, makers and takers alike.
        symbols: to list; empty for all that the source has.
        history_s: seconds of past served at start.
        bars: Parquet file to replay; None for the seeded market.
        funding_interval_ms: between fundings.
        limit_factor: how many times the venue's own rate limits are allowed.
    """

    accounts: tuple[AccountSpec, ...]
    seed: int = 7
    fee_bps: Decimal = Decimal(10)
    symbols: tuple[str, ...] = ()
    history_s: int = DEFAULT_HISTORY_S
    bars: Path | None = None
    funding_interval_ms: int = DEFAULT_FUNDING_INTERVAL_MS
    limit_factor: int = 1
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT

"""What the demo asks of the running engine and of the simulated exchange."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

from engine_service.client.client import EngineClient
from orchestration.cli.layout import Home

STRATEGIES = ("ma_cross", "hmm_regime")
REGIME_STRATEGY = "hmm_regime"
PAGE = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """The account at one moment while it traded. ``marks`` holds mark prices by symbol."""

    at_ms: int
    equity: Decimal
    orders: int
    fills: int
    marks: Mapping[str, float]


class DemoEngine:
    """The engine through its own client, the exchange through its ``/_sim`` routes."""

    def __init__(self, engine_url: str, home: Home, exchange_url: str) -> None:
        token = json.loads(home.tokens.read_text(encoding="utf-8"))["admin"]
        self.client = EngineClient(engine_url, token)
        self._exchange = httpx.Client(base_url=exchange_url, timeout=20.0, trust_env=False)

    def close(self) -> None:
        """Close both connections."""
        self.client.close()
        self._exchange.close()

    def history_span_ms(self) -> tuple[int, int]:
        """Return the open times of the exchange's first and of its newest bar."""
        symbol = self._first_symbol()
        query: dict[str, str | int] = {"symbol": symbol, "interval": "1s", "limit": 1}
        newest = self._exchange.get("/api/v3/klines", params=query).raise_for_status().json()
        oldest = self._exchange.get("/api/v3/klines", params=query | {"startTime": 0}).raise_for_status().json()
        return int(oldest[0][0]), int(newest[0][0])

    def true_regimes(self) -> dict[int, int]:
        """Return the true regime by bar open in ms; empty where the market does not know it."""
        answer = self._exchange.get("/_sim/regimes").raise_for_status().json()
        rows = answer["regimes"] if isinstance(answer, dict) else answer
        return {int(row["ts"]): int(row["regime"]) for row in rows}

    def model_version(self) -> str:
        """Return the version of the model in force, empty where there is none."""
        return str(self.client.get_strategy(REGIME_STRATEGY).get("model_version") or "")

    def regimes(self) -> dict[str, list[dict[str, Any]]]:
        """Return the engine's own filtered regime at every live bar, by symbol."""
        return self.client.get_regimes()

    def orders(self) -> list[dict[str, Any]]:
        """Return every order of this journal, oldest first."""
        return list(self.client.list_orders())

    def fills(self) -> list[dict[str, Any]]:
        """Return every fill of this journal, oldest first."""
        return list(self.client.get_fills())

    def sample(self) -> Sample:
        """Read equity, counts and marks."""
        portfolio = self.client.get_portfolio()
        metrics = self.client.get_metrics()
        prices = self.client.get_prices()
        return Sample(
            at_ms=time.time_ns() // 1_000_000,
            equity=Decimal(portfolio["equity"]),
            orders=int(_total(metrics, "nhmm_orders_submitted_total")),
            fills=int(_total(metrics, "nhmm_fills_total")),
            marks={row["symbol"]: float(row["mark"]) for row in prices if row.get("mark")},
        )

    def pause_strategies(self) -> None:
        """Stop new entries and wait until nothing is in flight."""
        for strategy in STRATEGIES:
            self.client.put_strategy(strategy, enabled=False)
        deadline = time.monotonic() + 25.0
        while time.monotonic() < deadline and any(order["status"] in IN_FLIGHT for order in self.orders()):
            time.sleep(0.3)

    def resume_strategies(self) -> None:
        """Let them trade again."""
        for strategy in STRATEGIES:
            self.client.put_strategy(strategy, enabled=True)

    def _first_symbol(self) -> str:
        info = self._exchange.get("/api/v3/exchangeInfo").raise_for_status().json()
        return str(info["symbols"][0]["symbol"])


IN_FLIGHT = frozenset({"SUBMITTED", "PENDING_ACK", "IN_DOUBT", "PENDING_CANCEL", "PENDING_UPDATE"})


def _total(metrics: Mapping[str, Sequence[tuple[Mapping[str, str], float]]], name: str) -> float:
    return sum(value for _labels, value in metrics.get(name, ()))

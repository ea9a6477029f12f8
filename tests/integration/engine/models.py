"""A regime model of the exchange's own bars, in the form in which it is sent to the engine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import httpx
import numpy as np

from governance.model_card import content_version
from strategies.contracts import Bar
from strategies.features import FEATURE_SCHEMA, compute
from strategies.regimes.fit import FitOptions, fit
from strategies.regimes.model import RegimeModel
from tests.integration.simulated_exchange import SimulatedExchange

SYMBOL = "BTCUSDT.BINANCE"


def trained(exchange: SimulatedExchange) -> RegimeModel:
    """Return a model fitted to the exchange's newest bars."""
    bars = klines(exchange, 1000)
    columns = [np.array([getattr(bar, name) for bar in bars]) for name in ("open", "high", "low", "close", "volume")]
    return fit(compute(*columns), np.array([bar.open_at_ms for bar in bars]), 1000, FitOptions(candidates=(2,)))[0]


def klines(exchange: SimulatedExchange, limit: int) -> list[Bar]:
    """Return closed bars, oldest first."""
    params = {"symbol": "BTCUSDT", "interval": "1s", "limit": str(limit)}
    rows = httpx.get(f"{exchange.url}/api/v3/klines", params=params, trust_env=False).json()
    now_ms = time.time() * 1000
    names = ("open_at_ms", "open", "high", "low", "close", "volume")
    return [
        Bar(symbol=SYMBOL, close_at_ms=row[6], **dict(zip(names, [row[0], *map(float, row[1:6])], strict=True)))
        for row in rows
        if row[6] < now_ms
    ]


def bundle(model: RegimeModel, seed: int) -> dict[str, Any]:
    """Return the bundle of a model; another seed is another version."""
    symbols = {SYMBOL: replace(model, seed=seed).to_dict()}
    return {
        "version": content_version(symbols),
        "kind": "gaussian_hmm",
        "interval": "1s",
        "feature_schema": FEATURE_SCHEMA,
        "created_at": "2026-01-01T00:00:00+00:00",
        "symbols": symbols,
    }

"""A model from outside is checked to the last number before it is let in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine_service.domain.errors import InvalidRequest
from engine_service.runtime.lifecycle import _MarketData
from engine_service.runtime.model_bundle import parse_bundle, read_bundle
from strategies.features import FEATURE_SCHEMA


def _model() -> dict[str, Any]:
    return {
        "features": ["log_return", "log_range"],
        "startprob": [0.5, 0.5],
        "transmat": [[0.9, 0.1], [0.2, 0.8]],
        "means": [[0.0, -1.0], [0.0, 1.0]],
        "covars": [[1.0, 1.0], [2.0, 1.0]],
        "scaler_mean": [0.0, -9.0],
        "scaler_scale": [0.001, 0.5],
        "expected_return": [0.0, 1e-5],
        "volatility": [1e-4, 3e-4],
        "labels": ["calm", "rising"],
        "trained_from_ms": 1,
        "trained_to_ms": 2,
        "bars": 1000,
        "data_hash": "ab",
        "seed": 7,
        "feature_schema": FEATURE_SCHEMA,
    }


def _bundle(**changes: Any) -> dict[str, Any]:
    whole = {
        "version": "rm-0123456789ab",
        "kind": "gaussian_hmm",
        "interval": "1s",
        "feature_schema": FEATURE_SCHEMA,
        "created_at": "2026-11-01T00:00:00Z",
        "symbols": {"BTCUSDT.BINANCE": _model()},
    }
    return {**whole, **changes}


def test_a_two_level_model_is_refused_by_what_it_is() -> None:
    layered = {"kind": "h2", "factor": 12, "macro": _model(), "micro": [_model(), _model()]}
    with pytest.raises(InvalidRequest, match="a two-level model is traded in backtests alone"):
        parse_bundle(_bundle(symbols={"BTCUSDT.BINANCE": layered}))


def test_a_sound_bundle_survives_the_journals_text() -> None:
    bundle = parse_bundle(_bundle())
    assert read_bundle(bundle.text).models["BTCUSDT.BINANCE"].to_dict() == _model()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": "../../etc/passwd"}, "MODEL_INVALID"),
        ({"version": 7}, "MODEL_INVALID"),
        ({"feature_schema": "bars-v0"}, "MODEL_SCHEMA"),
        ({"symbols": {}}, "MODEL_INVALID"),
        ({"symbols": {"no symbol": _model()}}, "MODEL_INVALID"),
        ({"symbols": {"BTCUSDT.BINANCE": "text"}}, "MODEL_INVALID"),
        ({"symbols": {"BTCUSDT.BINANCE": {**_model(), "transmat": [[2.0, -1.0], [0.2, 0.8]]}}}, "MODEL_INVALID"),
        ({"symbols": {"BTCUSDT.BINANCE": {**_model(), "covars": [[0.0, 1.0], [2.0, 1.0]]}}}, "MODEL_INVALID"),
        ({"surprise": 1}, "MODEL_INVALID"),
    ],
)
def test_a_broken_bundle_is_refused_by_code(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_bundle(_bundle(**changes))
    assert refusal.value.code == code


@pytest.mark.parametrize(("interval", "in_force"), [("1s", True), ("1m", False)])
def test_after_a_start_on_other_bars_the_stored_model_is_not_put_in_force(interval: str, in_force: bool) -> None:
    swapped: list[str] = []
    loop = SimpleNamespace(swap_model=lambda bundle: swapped.append(bundle.version))
    engine = SimpleNamespace(loop=loop, settings=SimpleNamespace(interval=interval))
    _MarketData(cast(Any, engine))._put_in_force(parse_bundle(_bundle()))
    assert bool(swapped) is in_force

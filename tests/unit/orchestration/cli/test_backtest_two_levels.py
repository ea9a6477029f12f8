"""``nhmm backtest`` of a two-level model: traded on the engine's own path, alone and in the ensemble."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from orchestration.cli.app import app
from strategies.regimes.bar_table import PRICES
from tests.unit.strategies.series import regime_series

BARS = 4_000
CHEAP = ("--fee-bps", "0", "--set", "round_trip_cost_bps=0.5", "--set", "min_t_statistic=0", "--set", "hysteresis=0.1")


def last_line(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout.strip().splitlines()[-1]))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    series = regime_series(BARS, 71, dwell=200.0)
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    columns = {name: getattr(series, name) for name in (*PRICES, "volume")}
    pl.DataFrame({"symbol": ["BTCUSDT"] * BARS, "ts": series.open_at_ms, **columns}).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def model(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "h2"
    last_line(CliRunner().invoke(app, ["train", "--bars", str(file), "--out", str(out), "--kind", "h2", "--json"]))
    return out


@pytest.mark.parametrize("strategy", [["hmm_regime"], ["ensemble", "--set", "ma_weight=0"]])
def test_a_two_level_model_is_traded(strategy: list[str], file: Path, model: Path) -> None:
    words = ["backtest", "--bars", str(file), "--model", str(model), "--quantity", "1", *CHEAP]
    told = last_line(CliRunner().invoke(app, [*words, "--json", "--strategy", *strategy]))
    assert told["bars"] == BARS
    assert told["orders"] > 3

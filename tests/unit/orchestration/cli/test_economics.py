"""``nhmm economics``: one row a strategy and symbol, a portfolio, and refusals by name."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from typer.testing import CliRunner

from orchestration.cli.app import app
from orchestration.cli.layout import Refused
from strategies.regimes.bar_table import PRICES
from tests.unit.orchestration.cli.test_train_files import frame

BARS = 1_400


def test_everyone_is_judged_on_every_symbol_and_on_the_portfolio(tmp_path: Path) -> None:
    dead = frame("DEADUSDT", 9, BARS).with_columns(pl.lit(1.0).alias(name) for name in PRICES)
    pl.concat([frame("AUSDT", 4, BARS), frame("BUSDT", 5, BARS), dead]).write_parquet(tmp_path / "bars.parquet")
    arguments = ["economics", "--bars", str(tmp_path / "bars.parquet"), "--cost-bps", "2", "--folds", "1", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--symbol", "AUSDT", "--symbol", "BUSDT"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.strip().splitlines()[-1])
    rows = {(row["symbol"], row["strategy"]): row for row in told["rows"]}
    everyone = {"buy_and_hold", "vol_target", "ma_cross", "gaussian_hmm", "jump"}
    assert {name for symbol, name in rows if symbol == "AUSDT"} == everyone
    assert rows["ALL", "buy_and_hold"]["edge"] == 0.0
    assert rows["AUSDT", "gaussian_hmm"]["nats_per_bar"] > 0
    assert all(row["sharpe_se"] > 0 for row in told["rows"])
    alone = CliRunner().invoke(app, [*arguments, "--symbol", "DEADUSDT"])
    refused = json.loads(alone.stdout.strip().splitlines()[-1])["refused"]
    assert set(refused) == {"DEADUSDT gaussian_hmm", "DEADUSDT jump"}
    assert all("NO_" in reason or "CONSTANT_FEATURE" in reason for reason in refused.values())


def test_bars_without_one_whole_window_and_bars_of_two_lengths_are_refused_by_name(tmp_path: Path) -> None:
    whole, path = frame("AUSDT", 4, BARS), tmp_path / "bars.parquet"
    holed = whole.with_row_index().filter(pl.col("index") % 3 > 0).drop("index")
    first = pl.col("ts").min()
    slow = frame("BUSDT", 5, BARS).with_columns(first + (pl.col("ts") - first) * 60)
    for bars, reason in ((holed, "NO_WHOLE_WINDOW"), (pl.concat([whole, slow]), "BARS_INTERVAL")):
        bars.write_parquet(path)
        result = CliRunner().invoke(app, ["economics", "--bars", str(path), "--folds", "1", "--json"])
        assert isinstance(result.exception, Refused)
        assert reason in str(result.exception)


def test_the_two_level_model_is_a_row_or_a_reason_where_it_is_asked_for(tmp_path: Path) -> None:
    frame("AUSDT", 4, BARS).write_parquet(tmp_path / "bars.parquet")
    arguments = ["economics", "--bars", str(tmp_path / "bars.parquet"), "--cost-bps", "2", "--folds", "1", "--json"]
    told = json.loads(CliRunner().invoke(app, [*arguments, "--two-level"]).stdout.strip().splitlines()[-1])
    rows = {row["strategy"] for row in told["rows"]}
    assert ("h2" in rows) is not ("AUSDT h2" in told["refused"])

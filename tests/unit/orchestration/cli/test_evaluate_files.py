"""``nhmm evaluate --bars``: a folder judged on bars it never saw, and made a candidate that the gates can judge."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from assets.promotion import NotEvaluated, WrongInterval, check_interval, judge
from governance.promotion import Verdict
from governance.registry import ModelRegistry
from orchestration.cli import evaluate_files
from orchestration.cli.app import app
from orchestration.cli.bar_files import read_bars, table_of
from orchestration.cli.layout import Home, Refused
from orchestration.environment import load
from strategies.regime_policy import PolicyOptions
from strategies.regimes.bar_table import PRICES
from strategies.regimes.hierarchy import HierarchicalModel, read_model
from strategies.regimes.options import FitOptions
from strategies.research.after_training import judge_after_training
from strategies.research.walk_forward import WalkForwardReport, walk_forward
from tests.unit.strategies.series import regime_series
from warehouse.store import Warehouse

SYMBOL = "BTCUSDT"
BARS, TRAINED = 3_200, 2_400


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    series = regime_series(BARS, 61)
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    columns = {name: getattr(series, name) for name in (*PRICES, "volume")}
    pl.DataFrame({"symbol": [SYMBOL] * BARS, "ts": series.open_at_ms, **columns}).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def model(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "first"
    last = int(regime_series(BARS, 61).open_at_ms[TRAINED])
    result = CliRunner().invoke(app, ["train", "--bars", str(file), "--out", str(out), "--to", str(last)])
    assert result.exit_code == 0, result.output
    return out


def evaluate(model: Path, file: Path, *arguments: str) -> Any:
    return CliRunner().invoke(
        app, ["evaluate", "--model", str(model), "--bars", str(file), "--cost-bps", "1", "--json", *arguments]
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def said(model: Path, file: Path, home: Path) -> dict[str, Any]:
    result = evaluate(model, file, "--register", "--home", str(home), "--report", str(home / "page.html"))
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout.strip().splitlines()[-1]))


@pytest.mark.usefixtures("said")
def test_the_pictures_of_the_page_are_sharp(home: Path) -> None:
    text = (home / "page.html").read_text(encoding="utf-8")
    pictures = [base64.b64decode(data) for data in re.findall(r"base64,([A-Za-z0-9+/=]+)", text)]
    assert len(pictures) == 5
    widths = [int.from_bytes(picture[16:20], "big") for picture in pictures]
    assert min(widths) >= 1_000, "drawn for a screen, and not for a row of an event database"


def test_it_is_judged_on_folds_of_its_training_and_on_what_came_after(said: dict[str, Any]) -> None:
    found = said["symbols"][SYMBOL]
    assert found["leaks"] == []
    assert found["walk_forward"]["folds"] == 3
    assert found["walk_forward"]["trades"] >= 10
    assert found["after_training"]["bars"] == BARS - TRAINED
    # Half of what has rows is judged, but for the embargo at the beginning of each of the three folds.
    assert found["walk_forward"]["bars"] == TRAINED - TRAINED // 2 - 3 * 20
    for way in ("walk_forward", "after_training"):
        assert found[way]["sharpe_se"] > 0
        assert found[way]["likelihood_gain"] > 0.1
    # The market was made of regimes that pay: whoever sees them earns, after costs.
    assert found["after_training"]["total_return"] > found["after_training"]["hold_return"]


def test_it_says_how_late_the_model_is_and_whether_later_bars_drift_away(
    said: dict[str, Any], model: Path, file: Path, tmp_path: Path
) -> None:
    found = said["symbols"][SYMBOL]
    assert 0 <= found["lag"]["missed_frac"] < 0.5
    assert found["lag"]["bars"] < found["after_training"]["dwell_bars"]
    drift = found["after_training"]["drift"]
    assert (drift["since"], drift["highest"] < drift["threshold"]) == (None, True)
    assert drift["calibration_error"] < 0.1
    # From bar 2,800 on everything moves eight times as far: a market that the model never saw.
    rows = pl.read_parquet(file)
    first = rows.row(2_800, named=True)
    wild = pl.col("ts") >= first["ts"]
    moved = [((pl.col(name) / first["open"]) ** 8 * first["open"]).alias(name) for name in PRICES]
    pl.concat([rows.filter(~wild), rows.filter(wild).with_columns(moved)]).write_parquet(tmp_path / "wild.parquet")
    result = evaluate(model, tmp_path / "wild.parquet", "--folds", "1", "--report", str(tmp_path / "page.html"))
    later = json.loads(result.stdout.strip().splitlines()[-1])["symbols"][SYMBOL]["after_training"]["drift"]
    assert first["ts"] <= later["since"] < first["ts"] + 120 * 60_000
    assert "drift since 20" in result.stderr
    assert "drift since 20" in (tmp_path / "page.html").read_text()


def test_the_page_holds_a_picture_of_regimes_and_of_equity_for_both_ways(said: dict[str, Any], home: Path) -> None:
    page = (home / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "walk forward" in page
    assert "after training" in page


def test_the_candidate_is_registered_under_the_engines_name_and_the_gates_can_judge_it(
    said: dict[str, Any], home: Path
) -> None:
    where = Home.resolve(home)
    registry, warehouse = ModelRegistry(where.registry), Warehouse(where.warehouse)
    card = registry.card(said["registered"])
    assert card.symbols == (f"{SYMBOL}.BINANCE",)
    settings = load({"NHMM_HOME": str(home)}).research
    decision = judge(warehouse, registry, settings, approved=False)
    assert decision.candidate == said["registered"]
    assert decision.verdict is Verdict.PROMOTE, decision.summary
    check_interval(registry, settings, decision.candidate)
    with pytest.raises(WrongInterval, match="1m"):
        check_interval(registry, replace(settings, interval="1h"), decision.candidate)


def test_a_two_level_model_is_registered_to_infer_and_is_no_candidate(file: Path, tmp_path: Path) -> None:
    last = str(int(regime_series(BARS, 61).open_at_ms[TRAINED]))
    words = ["train", "--bars", str(file), "--out", str(tmp_path / "two"), "--to", last, "--kind", "h2"]
    assert CliRunner().invoke(app, words).exit_code == 0
    result = evaluate(tmp_path / "two", file, "--register", "--home", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "/infer_h2" in result.stderr
    version = json.loads(result.stdout.strip().splitlines()[-1])["registered"]
    where = Home.resolve(tmp_path)
    registry = ModelRegistry(where.registry)
    assert isinstance(read_model(registry.bundle(version)["symbols"][f"{SYMBOL}.BINANCE"]), HierarchicalModel)
    # What stresses, evaluates or watches the newest candidate reads flat models alone.
    assert registry.newest() is None
    with pytest.raises(NotEvaluated):
        judge(Warehouse(where.warehouse), registry, load({}).research, version=version, approved=True)


def test_a_model_that_never_traded_is_not_promoted_to_real_money(model: Path, file: Path, tmp_path: Path) -> None:
    result = evaluate(model, file, "--cost-bps", "1000", "--register", "--home", str(tmp_path))
    assert result.exit_code == 0, result.output
    walked = json.loads(result.stdout.strip().splitlines()[-1])["symbols"][SYMBOL]["walk_forward"]
    assert (walked["trades"], walked["turnover_per_day"]) == (0, 0.0)
    where = Home.resolve(tmp_path)
    registry, warehouse = ModelRegistry(where.registry), Warehouse(where.warehouse)
    on_paper, live = load({}).research, load({"NHMM_PROMOTION": "live"}).research
    assert "trades" in [gate.name for gate in judge(warehouse, registry, live, approved=True).refusals]
    assert "trades is 0, at least 50 is asked for" in judge(warehouse, registry, live, approved=True).summary
    assert judge(warehouse, registry, on_paper, approved=False).verdict is Verdict.PROMOTE


@pytest.mark.parametrize(
    ("words", "asked"), [((), ("diag", 10)), (("--covariance", "full", "--starts", "3"), ("full", 3))]
)
def test_a_model_is_walked_by_the_way_it_was_fitted(
    words: tuple[str, ...], asked: tuple[str, int], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(app, ["train", "--bars", str(file), "--out", str(tmp_path / "new"), *words])
    assert result.exit_code == 0, result.output
    seen: list[FitOptions] = []

    def spied(*arguments: Any) -> WalkForwardReport:
        seen.append(arguments[3])
        return walk_forward(*arguments)

    monkeypatch.setattr(evaluate_files, "walk_forward", spied)
    found = json.loads(evaluate(tmp_path / "new", file, "--folds", "1").stdout.strip().splitlines()[-1])
    assert found["symbols"][SYMBOL]["leaks"] == []
    assert [(one.covariance, one.starts) for one in seen] == [asked]


def test_bars_of_another_length_and_a_missing_half_are_refused(model: Path, file: Path, tmp_path: Path) -> None:
    first = pl.col("ts").min()
    hourly = pl.read_parquet(file).with_columns(first + (pl.col("ts") - first) * 60)
    hourly.write_parquet(tmp_path / "hourly.parquet")
    result = evaluate(model, tmp_path / "hourly.parquet")
    assert isinstance(result.exception, Refused)
    assert "BARS_INTERVAL" in str(result.exception)
    unknown = evaluate(model, file, "--symbol", SYMBOL, "--symbol", "XUSDT")
    assert "SYMBOL_UNKNOWN: XUSDT" in str(unknown.exception)
    assert CliRunner().invoke(app, ["evaluate", "--bars", str(file)]).exit_code == 2
    assert CliRunner().invoke(app, ["evaluate", "--model", str(model)]).exit_code == 2


def test_a_file_that_ends_with_the_training_has_nothing_later_to_judge(model: Path, file: Path, tmp_path: Path) -> None:
    pl.read_parquet(file).head(TRAINED).write_parquet(tmp_path / "short.parquet")
    result = evaluate(model, tmp_path / "short.parquet", "--folds", "1")
    assert json.loads(result.stdout.strip().splitlines()[-1])["symbols"][SYMBOL]["after_training"] is None


def test_what_a_model_would_have_got_is_its_exposure_times_the_market_less_its_turnover(
    model: Path, file: Path
) -> None:
    table, _ = table_of(read_bars(file, (SYMBOL,), None, None), drop_dead_tail=False)
    bundle = json.loads((model / "model.json").read_text())
    found = judge_after_training(
        read_model(bundle["symbols"][SYMBOL]), table, PolicyOptions(round_trip_cost_bps=2.0), 1.0, 525_600
    )
    assert found is not None
    closes = table.close[TRAINED - 1 :]
    held = np.concatenate([[0.0], found.positions[:-1]])
    paid = np.abs(np.diff(found.positions, prepend=0.0)) * 1e-4
    np.testing.assert_allclose(found.returns, held * (closes[1:] / closes[:-1] - 1.0) - paid, atol=1e-12)
    assert found.buy_and_hold.total_return == pytest.approx(closes[-1] / closes[0] - 1.0)


def test_a_hierarchy_is_judged_after_training_without_a_likelihood_of_its_own(model: Path, file: Path) -> None:
    table, _ = table_of(read_bars(file, (SYMBOL,), None, None), drop_dead_tail=False)
    one = read_model(json.loads((model / "model.json").read_text())["symbols"][SYMBOL])
    assert not isinstance(one, HierarchicalModel)
    slow = replace(one, trained_to_ms=int(table.open_ms[TRAINED]))
    two = HierarchicalModel(factor=5, macro=replace(slow, **_one_regime(slow)), micro=(slow,))
    found = judge_after_training(two, table, PolicyOptions(), 1.0, 525_600)
    assert found is not None
    assert found.gain is None
    assert found.open_ms[0] == table.open_ms[TRAINED]
    assert len(found.returns) == BARS - TRAINED


def _one_regime(model: Any) -> dict[str, Any]:
    cut = {name: getattr(model, name)[:1] for name in ("means", "covars", "expected_return", "volatility", "labels")}
    return {**cut, "startprob": np.ones(1), "transmat": np.ones((1, 1))}

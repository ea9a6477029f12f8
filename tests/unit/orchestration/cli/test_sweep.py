"""``nhmm sweep``: every trial is counted, the best is found and judged on bars it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from orchestration.cli.app import main
from orchestration.cli.layout import Refused
from orchestration.cli.sweep import points
from tests.unit.orchestration.cli.test_backtest import frame, walk


@pytest.fixture
def nhmm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def run(bars: pl.DataFrame, command: str, *words: str) -> tuple[int, str, str]:
        path = tmp_path / "bars.parquet"
        bars.write_parquet(path)
        monkeypatch.setattr("sys.argv", ["nhmm", command, "--bars", str(path), *words])
        try:
            code = main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def waves(count: int = 3_000, period: int = 80) -> Any:
    """Slow waves under noise: a slow crossover rides them, a quick one pays for the noise."""
    chance = np.random.default_rng(8)
    return np.round(100 + 5 * np.sin(2 * np.pi * np.arange(count) / period) + chance.normal(0, 0.4, count), 2)


def last(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return found


def test_a_grid_is_every_combination_with_both_ends() -> None:
    assert points(["fast=5:15:5", "slow=20,30"]) == [
        {"fast": fast, "slow": slow} for fast in ("5", "10", "15") for slow in ("20", "30")
    ]
    assert points(["threshold=0.1:0.3:0.1"]) == [{"threshold": value} for value in ("0.1", "0.2", "0.3")]


@pytest.mark.parametrize("word", ["fast", "fast=9:5", "fast=1:9:0", "fast=a:b", "fast=1:2:3:4", "fast=1:999999999"])
def test_a_grid_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(Refused, match="--grid"):
        points([word])


def test_too_many_trials_are_refused() -> None:
    with pytest.raises(Refused, match="trials, at most"):
        points(["a=1:1000", "b=1:1000"])


def test_the_planted_best_is_found_and_is_what_a_backtest_of_it_gives(nhmm: Any) -> None:
    bars = frame(waves())
    words = ("--fee-bps", "2", "--fill", "close", "--json")
    code, out, _ = nhmm(bars, "sweep", "--grid", "fast=1,5,15", "--grid", "slow=4,20,60", *words)
    assert code == 0
    found = last(out)
    assert (found["trials"], found["impossible"]) == (7, 2)
    assert found["best"]["settings"] == {"fast": "5", "slow": "20"}
    assert found["best"]["sharpe"] > found["ranked"][1]["sharpe"] > found["ranked"][-1]["sharpe"]
    assert found["unseen"]["sharpe"] > 2 * found["unseen"]["sharpe_se"]
    assert found["deflated_sharpe"] > 0.9
    alone = last(nhmm(bars[:2_100], "backtest", "--set", "fast=5", "--set", "slow=20", *words)[1])
    for name in ("bars", "fills", "fees", "equity_final"):
        assert found["best"][name] == alone[name]
    assert found["best"]["sharpe"] == pytest.approx(alone["sharpe"])


def test_the_best_of_many_on_noise_is_not_believed(nhmm: Any) -> None:
    code, out, _ = nhmm(
        frame(walk(4_000)), "sweep", "--grid", "fast=2:12", "--grid", "slow=15:60:5", "--fee-bps", "0", "--json"
    )
    assert code == 0
    found = last(out)
    assert found["trials"] == 110
    assert found["expected_best_sharpe"] > 0
    assert found["deflated_sharpe"] < 0.9


def test_corners_that_cannot_be_are_counted_apart_and_a_grid_of_nothing_else_is_refused(nhmm: Any) -> None:
    bars = frame(walk(400))
    found = last(nhmm(bars, "sweep", "--grid", "fast=5,10,30", "--grid", "slow=20", "--json")[1])
    assert (found["trials"], found["impossible"]) == (2, 1)
    code, _, err = nhmm(bars, "sweep", "--grid", "fast=30", "--grid", "slow=20")
    assert code == 2
    assert "STRATEGY_INVALID" in err


def test_too_few_bars_for_the_grid_are_refused_by_name(nhmm: Any) -> None:
    code, _, err = nhmm(frame(walk(40)), "sweep", "--grid", "fast=5", "--grid", "slow=30")
    assert code == 4
    assert "TOO_FEW_BARS" in err

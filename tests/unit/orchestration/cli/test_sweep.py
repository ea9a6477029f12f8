"""``nhmm sweep``: every trial is counted, the best is found and judged on bars it has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from orchestration.cli.app import main
from orchestration.cli.layout import Refused
from orchestration.cli.sweep import points
from orchestration.cli.trial_file import Scope, earlier_trials, record_trials
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


def test_trials_short_of_funds_are_told_by_that_name_and_the_others_are_ranked(nhmm: Any) -> None:
    words = ("--grid", "fast=1", "--fee-bps", "100", "--cash", "500", "--json")
    code, _, err = nhmm(frame(walk(1_500)), "sweep", "--grid", "slow=2,3", *words)
    assert (code, "nhmm: FUNDS_SHORT: slow=2, fast=1: the order at " in err) == (4, True), err
    assert "STRATEGY_INVALID" not in err
    code, out, err = nhmm(frame(walk(1_500)), "sweep", "--grid", "slow=1,2,300", *words)
    assert (code, "FUNDS_SHORT: 1 settings" in err) == (0, True)
    counts = {name: last(out)[name] for name in ("trials", "short_of_funds", "impossible", "trials_counted")}
    assert counts == {"trials": 1, "short_of_funds": 1, "impossible": 1, "trials_counted": 1}


def test_what_only_the_event_path_can_do_is_called_so(nhmm: Any) -> None:
    for words in (("--quantity", "0.000000015"), ("--quantity", "1e15", "--cash", "1e15")):
        code, _, err = nhmm(frame(walk(400)), "sweep", "--grid", "fast=5", "--grid", "slow=20", *words)
        assert (code, "EVENT_PATH_NEEDED" in err) == (2, True), err


# --- all trials made --------------------------------------------------------------------------------------------------


def test_the_trials_of_earlier_sweeps_count_and_the_same_one_only_once(nhmm: Any, tmp_path: Path) -> None:
    bars, record = frame(walk(4_000)), tmp_path / "record" / "trials.jsonl"
    words = ("--grid", "slow=15:60:5", "--fee-bps", "0", "--json", "--trials", str(record))
    alone = last(nhmm(bars, "sweep", "--grid", "fast=2:4", *words)[1])
    assert (alone["trials"], alone["trials_counted"]) == (30, 30)
    again = last(nhmm(bars, "sweep", "--grid", "fast=2:4", *words)[1])
    assert (again["trials_counted"], again["deflated_sharpe"]) == (30, alone["deflated_sharpe"])
    nhmm(bars, "sweep", "--grid", "fast=5:12", *words)
    after = last(nhmm(bars, "sweep", "--grid", "fast=2:4", *words)[1])
    assert (after["trials"], after["trials_counted"]) == (30, 110)
    assert after["best"] == alone["best"]
    whole = last(nhmm(bars, "sweep", "--grid", "fast=2:12", *words[:-2])[1])
    assert after["expected_best_sharpe"] == pytest.approx(whole["expected_best_sharpe"])
    assert after["deflated_sharpe"] < alone["deflated_sharpe"]
    assert len(record.read_text().splitlines()) == 110
    dearer = last(nhmm(bars, "sweep", "--grid", "fast=2", *words, "--fee-bps", "9")[1])
    assert (dearer["trials"], dearer["trials_counted"]) == (10, 120)


def test_trials_of_other_symbols_bars_or_strategies_do_not_count(tmp_path: Path) -> None:
    record = tmp_path / "trials.jsonl"
    scope = Scope(strategy="ma_cross", symbols=("A", "B"), bar_ms=60_000, terms={"from_ms": "0"})
    record_trials(record, scope, [({"fast": "5"}, 0.1), ({"fast": "6"}, -0.2)])
    later = replace(scope, terms={"from_ms": "9"})
    assert list(earlier_trials(record, later).values()) == [0.1, -0.2]
    others = ({"strategy": "other"}, {"symbols": ("A",)}, {"bar_ms": 1_000})
    assert all(earlier_trials(record, replace(scope, **other)) == {} for other in others)


@pytest.mark.parametrize("line", ["{", "[]", "7", '{"trial": "x"}', '{"a": NaN}'])
def test_a_line_that_is_no_trial_is_refused_by_its_number(nhmm: Any, tmp_path: Path, line: str) -> None:
    record = tmp_path / "trials.jsonl"
    words = ("sweep", "--grid", "fast=5", "--grid", "slow=20", "--trials", str(record))
    assert nhmm(frame(walk(400)), *words)[0] == 0
    with record.open("a") as file:
        file.write(line + "\n")
    code, _, err = nhmm(frame(walk(400)), *words)
    assert code == 2
    assert "TRIALS_INVALID: line 2" in err


def test_single_backtests_count_among_the_trials_of_a_sweep_and_the_other_way_round(nhmm: Any, tmp_path: Path) -> None:
    bars, record = frame(walk(2_000)), tmp_path / "trials.jsonl"
    words = ("--fee-bps", "0", "--fill", "open", "--trials", str(record), "--json")
    for number, fast in enumerate((3, 4, 4, 5)):
        settings = ("--set", f"fast={fast}", "--set", "slow=20")
        code, out, _ = nhmm(bars, "backtest", *settings, *words, "--path", ("event", "vector")[number % 2])
        assert code == 0
    alone = last(out)
    assert alone["trials_counted"] == len(record.read_text().splitlines()) == 3
    assert "note: TRIALS: 3 trials were made" in out
    after = last(nhmm(bars, "sweep", "--grid", "fast=2:12", "--grid", "slow=15:60:5", *words)[1])
    assert (after["trials"], after["trials_counted"]) == (110, 113)
    again = last(nhmm(bars, "backtest", "--set", "fast=5", "--set", "slow=20", *words)[1])
    assert again["trials_counted"] == 113
    assert again["deflated_sharpe"] < alone["deflated_sharpe"]
    unrecorded = last(nhmm(bars, "backtest", "--set", "fast=5", "--set", "slow=20", *words[:4], "--json")[1])
    assert again["expected_best_sharpe"] > 0
    assert not unrecorded.keys() & {"trials_counted", "deflated_sharpe", "expected_best_sharpe"}

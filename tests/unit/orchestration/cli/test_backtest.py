"""``nhmm backtest`` as a person or a script meets it: figures on the last line, one clear line for what is wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from orchestration.cli.app import main
from strategies.times import told

START, HOUR = 1_700_000_400_000, 3_600_000
FIGURES = (
    "bars", "orders", "fills", "fees", "realised_pnl", "equity_final", "sharpe", "sharpe_se", "max_drawdown",
    "turnover", "seconds",
)  # fmt: skip


def frame(closes: Any, symbol: str = "BTCUSDT", first: int = START) -> pl.DataFrame:
    close = np.asarray(closes, dtype=np.float64)
    opened = np.concatenate([close[:1], close[:-1]])
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(close),
            "ts": first + HOUR * np.arange(len(close)),
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": np.full(len(close), 5.0),
        }
    )


def walk(count: int, seed: int = 5) -> Any:
    return np.round(100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, count))), 2)


@pytest.fixture
def nhmm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def run(bars: pl.DataFrame, *words: str) -> tuple[int, str, str]:
        path = tmp_path / "bars.parquet"
        bars.write_parquet(path)
        monkeypatch.setattr("sys.argv", ["nhmm", "backtest", "--bars", str(path), *words])
        try:
            code = main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def last(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return found


@pytest.mark.parametrize("fill", ["close", "open"])
def test_both_paths_print_the_same_money_and_the_trades_add_up_to_it(nhmm: Any, tmp_path: Path, fill: str) -> None:
    words = ["--set", "fast=5", "--set", "slow=20", "--quantity", "2", "--fee-bps", "5", "--fill", fill, "--json"]
    figures = {}
    for path in ("event", "vector"):
        trades = tmp_path / f"{path}.parquet"
        code, out, _ = nhmm(frame(walk(800)), *words, "--path", path, "--trades", str(trades))
        assert code == 0
        figures[path] = last(out)
        assert set(FIGURES) <= set(figures[path])
    for figure in figures.values():
        del figure["seconds"]
    assert figures["event"] == figures["vector"]
    rows = pl.read_parquet(tmp_path / "event.parquet")
    assert rows.equals(pl.read_parquet(tmp_path / "vector.parquet"))
    assert rows.height == figures["event"]["fills"] > 20
    fees = sum(Decimal(repr(p)) * Decimal(repr(q)) for p, q in rows.select("price", "quantity").rows()) * 5 / 10_000
    assert fees == Decimal(figures["event"]["fees"])
    column = "close" if fill == "close" else "open"
    traded = rows.join(frame(walk(800)), left_on="bar_ts", right_on="ts")
    assert (traded["price"] == traded[column]).all()


def by_hand(bars: pl.DataFrame, fill: str, long_only: bool) -> dict[str, Any]:
    """Trade the crossover 5/20 of two units at 5 bps in a plain loop, each position from its opening to its close."""
    close = [Decimal(repr(price)) for price in bars["close"]]
    opened = [Decimal(repr(price)) for price in bars["open"]]
    held, entry, realised, fees, fills = Decimal(0), Decimal(0), Decimal(0), Decimal(0), 0
    for bar in range(20, len(close) - (fill == "open")):
        above, was_above = (
            4 * sum(close[last - 4 : last + 1]) > sum(close[last - 19 : last + 1]) for last in (bar, bar - 1)
        )
        wanted = Decimal(2) if above else Decimal(0 if long_only else -2)
        if above == was_above or wanted == held:
            continue
        price = close[bar] if fill == "close" else opened[bar + 1]
        realised += held * (price - entry)
        fees += abs(wanted - held) * price * 5 / 10_000
        held, entry, fills = wanted, price, fills + 1
    equity = 1_000_000 + realised - fees + held * (close[-1] - entry)
    return {"fills": fills, "fees": fees, "realised_pnl": realised, "equity_final": equity}


@pytest.mark.parametrize("fill", ["close", "open"])
@pytest.mark.parametrize("long_only", [False, True])
def test_the_money_is_what_a_plain_loop_over_the_bars_makes(nhmm: Any, fill: str, long_only: bool) -> None:
    bars = frame(walk(900, 11)).with_columns(open=pl.col("open") * 1.0009765625, high=pl.col("high") * 1.01)
    words = ["--set", "fast=5", "--set", "slow=20", "--quantity", "2", "--fill", fill, "--json"]
    expected = by_hand(bars, fill, long_only)
    assert expected["fills"] > 20
    for path in ("event", "vector"):
        said = last(nhmm(bars, *words, "--path", path, *(["--long-only"] if long_only else []))[1])
        assert {name: Decimal(said[name]) for name in expected} == expected


def test_the_fast_path_says_where_funds_run_short_and_the_event_path_goes_on(nhmm: Any) -> None:
    words = ("--quantity", "2", "--cash", "30", "--json")
    code, out, _ = nhmm(frame(walk(400)), *words)
    assert (code, last(out)["fills"]) == (0, 0)
    assert last(out)["refused"]["VENUE_INSUFFICIENT_FUNDS"] > 0
    code, out, err = nhmm(frame(walk(400)), *words, "--path", "vector")
    assert (code, out) == (4, "")
    assert "FUNDS_SHORT" in err


def test_bars_outside_the_span_are_not_read_and_symbols_are_chosen_by_name(nhmm: Any) -> None:
    both = pl.concat([frame(walk(300)), frame(walk(300, 6), "ETHUSDT")])
    words = ("--symbols", "ETHUSDT", "--from", "2023-11-16", "--to", "2023-11-18T12:00", "--json")
    code, out, _ = nhmm(both, "--strategy", "buy_and_hold", *words)
    assert (code, last(out)["bars"], last(out)["fills"]) == (0, 60, 1)


def test_a_limit_refuses_orders_here_as_it_does_live(nhmm: Any) -> None:
    code, out, _ = nhmm(frame(walk(400)), "--quantity", "3", "--limit", "max_notional=400", "--json")
    assert code == 0
    assert last(out)["refused"]["NOTIONAL_TOO_LARGE"] > 0


def test_a_fall_beyond_the_drawdown_limit_ends_the_buying(nhmm: Any) -> None:
    falling = np.concatenate([np.linspace(100, 120, 40), np.linspace(120, 60, 60), walk(300)])
    words = ("--quantity", "9000", "--fee-bps", "0", "--long-only", "--json")
    free = last(nhmm(frame(falling), *words)[1])
    held = last(nhmm(frame(falling), *words, "--limit", "max_drawdown_pct=2")[1])
    assert held["refused"].get("EQUITY_DRAWDOWN", 0) > 0
    assert held["fills"] < free["fills"]


def test_the_report_is_one_page_with_its_pictures_inside(nhmm: Any, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    code, _, _ = nhmm(frame(walk(5000)), "--report", str(page))
    text = page.read_text(encoding="utf-8")
    assert code == 0
    assert text.count("data:image/png;base64,") == 3
    assert "http" not in text
    assert "Sharpe ratio" in text


def test_the_report_promises_what_was_held_only_where_it_draws_it(nhmm: Any, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    for bars, words, title in (
        (frame(walk(300)), ["--quantity", "2"], "Equity against holding the same quantity"),
        (frame(walk(300)), ["--notional", "200"], "Equity"),
        (pl.concat([frame(walk(300)), frame(walk(300, 6), "ETHUSDT")]), ["--quantity", "2"], "Equity"),
    ):
        assert nhmm(bars, *words, "--report", str(page))[0] == 0
        assert f"<h2>{title}</h2>" in page.read_text(encoding="utf-8")


def bad(name: str) -> pl.DataFrame:
    bars = frame(walk(200))
    middle = pl.col("ts") == START + 100 * HOUR
    changed = {
        "nan": bars.with_columns(close=pl.when(middle).then(float("nan")).otherwise("close")),
        "null": bars.with_columns(volume=pl.when(middle).then(None).otherwise("volume")),
        "zero": bars.with_columns(low=pl.when(middle).then(0.0).otherwise("low")),
        "twice": pl.concat([bars[:50], bars[49:]]),
        "unsorted": pl.concat([bars[100:], bars[:100]]),
        "short": bars[:12],
        "column": bars.drop("volume"),
        "one": bars[:1],
        "microseconds": bars.with_columns(ts=pl.col("ts") * 1000),
        "number": bars.with_columns(symbol=pl.lit(7)),
        "nameless": bars.with_columns(symbol=pl.lit("")),
        "spaced": bars.with_columns(symbol=pl.lit("BTC USDT")),
        "folded": pl.concat([bars, bars.with_columns(symbol=pl.lit("btc"))]),
        "venues": pl.concat([bars, bars.with_columns(symbol=pl.lit("BTCUSDT.BYBIT"))]),
    }
    return changed[name]


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [
        ("nan", "BARS_NOT_FINITE", 4),
        ("null", "BARS_NOT_FINITE", 4),
        ("zero", "BARS_IMPOSSIBLE", 4),
        ("twice", "BARS_DUPLICATED", 4),
        ("unsorted", "BARS_UNSORTED", 4),
        ("short", "TOO_FEW_BARS", 4),
        ("one", "TOO_FEW_BARS", 4),
        ("column", "BARS_SCHEMA", 2),
        ("microseconds", "BARS_SCHEMA", 2),
        ("number", "BARS_SCHEMA", 2),
        ("nameless", "SYMBOL_FORMAT", 2),
        ("spaced", "SYMBOL_FORMAT", 2),
        ("folded", "SYMBOL_AMBIGUOUS", 2),
        ("venues", "VENUES_MIXED", 4),
    ],
)
@pytest.mark.parametrize("path", ["event", "vector"])
def test_bad_bars_are_refused_by_name_in_one_line(nhmm: Any, kind: str, reason: str, code: int, path: str) -> None:
    ended, out, err = nhmm(bad(kind), "--path", path, "--json")
    assert (ended, out) == (code, "")
    assert len(err.strip().splitlines()) == 1
    assert reason in err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--strategy", "magic"], "STRATEGY_INVALID"),
        (["--set", "fast=x"], "STRATEGY_INVALID"),
        (["--set", "fast=30", "--set", "slow=10"], "STRATEGY_INVALID"),
        (["--set", "speed=1"], "STRATEGY_INVALID"),
        (["--strategy", "hmm_regime"], "STRATEGY_INVALID"),
        (["--set", "fast"], "name=value"),
        (["--set", "fast=3", "--set", "fast=5"], "given twice"),
        (["--set", "slow=99999999999999999999"], "STRATEGY_INVALID"),
        (["--quantity", "-1"], "above 0"),
        (["--quantity", "0.000000001"], "at least 0.00000001"),
        (["--quantity", "1e99"], "at most"),
        (["--spread-bps", "15000", "--slippage-bps", "2500"], "whole price"),
        (["--fee-bps", "10000"], "less than the whole notional"),
        (["--trades", "/dev/null/trades.parquet"], "cannot be written"),
        (["--report", "/dev/null/report.html"], "cannot be written"),
        (["--quantity", "1", "--notional", "5"], "not both"),
        (["--limit", "max_notional=many"], "LIMIT_INVALID"),
        (["--symbols", "DOGEUSDT"], "SYMBOL_UNKNOWN"),
        (["--from", "yesterday"], "--from"),
        (["--strategy", "vol_target", "--path", "vector"], "event path"),
    ],
)
def test_a_wrong_word_is_refused_with_the_usage_code_and_one_line(nhmm: Any, words: list[str], reason: str) -> None:
    ended, out, err = nhmm(frame(walk(200)), *words)
    assert (ended, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert reason in err


def test_odd_but_tradable_bars_are_named_and_nothing_is_filled_in(nhmm: Any) -> None:
    whole = frame(walk(300))
    still = pl.col("ts") == START + 50 * HOUR
    holed = whole.filter(~pl.col("ts").is_between(START + 100 * HOUR, START + 109 * HOUR)).with_columns(
        volume=pl.when(still).then(0.0).otherwise("volume")
    )
    late = frame(walk(100, 9), "ETHUSDT", START + 150 * HOUR)
    flat = frame(np.full(300, 7.0), "USDCUSDT")
    code, out, _ = nhmm(pl.concat([holed, late, flat]), "--json")
    assert code == 0
    notes = [line for line in out.splitlines() if line.startswith("note: ")]
    for name in (
        "GAPS: BTCUSDT lacks 10",
        "ZERO_VOLUME: BTCUSDT has 1",
        "ENDED_EARLY: ETHUSDT ends 2.08 days before the others",
        "LISTED_LATE: ETHUSDT begins 6.25 days after the others",
    ):
        assert any(name in note for note in notes)
    assert any("CONSTANT_PRICE: USDCUSDT" in note for note in notes)
    assert last(out)["bars"] == 290 + 100 + 300


def test_bars_of_several_lengths_are_named(nhmm: Any) -> None:
    hours, minutes = frame(walk(300)), frame(walk(300, 9)).with_columns(ts=START + (pl.col("ts") - START) // 60)
    later = hours.with_columns(ts=pl.col("ts") + 5 * HOUR)
    assert "note: INTERVALS_MIXED: BTCUSDT has bars of 1m, 1h; " in nhmm(pl.concat([minutes, later]), "--json")[1]
    other = minutes.with_columns(symbol=pl.lit("ETHUSDT"))
    assert "note: INTERVALS_MIXED: the symbols have bars of 1m, 1h; " in nhmm(pl.concat([hours, other]), "--json")[1]
    holed = hours.filter(pl.col("ts") % (5 * HOUR) != 0)
    assert "INTERVALS_MIXED" not in nhmm(holed, "--json")[1]


def test_a_split_is_named_where_it_stands(nhmm: Any) -> None:
    whole = frame(walk(300))
    after = pl.col("ts") >= START + 200 * HOUR
    prices = ("open", "high", "low", "close")
    split = whole.with_columns(pl.when(after).then(pl.col(name) / 10).otherwise(name).alias(name) for name in prices)
    code, out, _ = nhmm(split, "--json")
    assert code == 0
    assert f"note: SPLIT: BTCUSDT jumps at {told(START + 200 * HOUR)} as" in out
    assert "SPLIT" not in nhmm(whole, "--json")[1]


def test_prices_finer_than_venues_write_are_named(nhmm: Any) -> None:
    whole = frame(walk(300))
    fine = whole.with_columns(pl.col("open", "high", "low", "close") * 1e-9)
    assert "note: PRICE_FINER: BTCUSDT" in nhmm(fine, "--json")[1]
    assert "PRICE_FINER" not in nhmm(whole, "--json")[1]


def test_bars_that_stand_newest_first_are_called_unsorted(nhmm: Any) -> None:
    ended, _, err = nhmm(frame(walk(100)).reverse(), "--json")
    assert ended == 4
    assert "BARS_UNSORTED" in err

"""A file of funding rates: paid once each, by the same money on both paths, and refused by name where it is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.unit.orchestration.cli.test_backtest import HOUR, START, frame, last, nhmm, walk

__all__ = ["nhmm"]
BARS = 200
Spoil = Callable[[pl.DataFrame], pl.DataFrame]


def rates(symbol: str = "BTCUSDT") -> pl.DataFrame:
    times = [START + 8 * HOUR * number for number in range(BARS // 8)]
    return pl.DataFrame({"symbol": symbol, "ts": times, "funding_rate": [0.0001 * (-1) ** n for n in range(BARS // 8)]})


def one_row(column: str, value: object) -> Spoil:
    return lambda rows: rows.with_columns(
        pl.when(pl.int_range(pl.len()) == 5).then(pl.lit(value)).otherwise(column).alias(column)
    )


REFUSED: dict[str, tuple[Spoil, str, int]] = {
    "nan": (one_row("funding_rate", float("nan")), "FUNDING_INVALID: BTCUSDT has the rate nan", 4),
    "infinite": (one_row("funding_rate", float("inf")), "FUNDING_INVALID", 4),
    "empty": (one_row("funding_rate", None), "FUNDING_INVALID", 4),
    "percent": (lambda rows: rows.with_columns(pl.col("funding_rate") * 1e6), "FUNDING_INVALID", 4),
    "timeless": (one_row("ts", None), "FUNDING_SCHEMA", 2),
    "twice": (lambda rows: pl.concat([rows, rows[3:4]]), "FUNDING_DUPLICATED: BTCUSDT has two rates at", 4),
    "dates": (lambda rows: rows.cast({"ts": pl.Datetime("ms")}), "FUNDING_SCHEMA: ts is Datetime", 2),
    "text": (lambda rows: rows.cast({"funding_rate": pl.String}), "FUNDING_SCHEMA: funding_rate is String", 2),
    "number": (lambda rows: rows.with_columns(symbol=pl.lit(7)), "FUNDING_SCHEMA: symbol is Int32", 2),
    "microseconds": (lambda rows: rows.with_columns(pl.col("ts") * 1000), "FUNDING_SCHEMA", 2),
    "seconds": (lambda rows: rows.with_columns(pl.col("ts") // 1000), "FUNDING_SCHEMA: .*look like seconds", 2),
    "column": (lambda rows: rows.drop("funding_rate"), "FUNDING_SCHEMA: .* lacks the columns funding_rate", 2),
    "other": (lambda _rows: rates("ETHUSDT"), "FUNDING_MISSING: no rates of BTCUSDT", 4),
    "earlier": (lambda rows: rows.with_columns(pl.col("ts") - 9_000 * HOUR), "FUNDING_MISSING", 4),
}


@pytest.mark.parametrize(("spoil", "said", "code"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("path", ["event", "vector"])
def test_rates_that_are_none_are_refused_by_name_in_one_line(
    nhmm: Any, tmp_path: Path, spoil: Spoil, said: str, code: int, path: str
) -> None:
    file = tmp_path / "funding.parquet"
    spoil(rates()).write_parquet(file)
    ended, out, err = nhmm(frame(walk(BARS)), "--funding", str(file), "--path", path, "--json")
    assert (ended, out, len(err.strip().splitlines())) == (code, "", 1), err
    assert re.search(said, err), err


def test_both_paths_pay_each_rate_once_on_what_is_held(nhmm: Any, tmp_path: Path) -> None:
    file = tmp_path / "funding.parquet"
    # In any order, and beside those of another symbol.
    pl.concat([rates("ETHUSDT"), rates().reverse()]).write_parquet(file)
    words = ("--funding", str(file), "--strategy", "buy_and_hold", "--fee-bps", "0", "--json")
    bars = frame(walk(BARS))
    event, vector = (last(nhmm(bars, *words, "--path", path)[1]) for path in ("event", "vector"))
    close = {at + HOUR: Decimal(repr(price)) for at, price in bars.select("ts", "close").rows()}
    held_from = START + HOUR
    due = [(at, Decimal(repr(rate))) for _, at, rate in rates().rows() if at > held_from]
    assert Decimal(event["funding"]) == sum(close[at] * rate for at, rate in due) != 0
    assert event["funding"] == vector["funding"]
    assert event["equity_final"] == vector["equity_final"]

"""A file of bars as commands read it: every kind that cannot be meant is refused by name, in a sentence that helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from orchestration.cli.bar_files import check_interval, parse_time, read_bars
from orchestration.cli.layout import Exit, Refused
from strategies.regimes.bar_table import interval_of
from tests.unit.orchestration.cli.test_backtest import HOUR, START, frame, walk

Spoil = Callable[[pl.DataFrame], pl.DataFrame]


def seconds(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.with_columns(pl.col("ts") // 1000)


def read(bars: pl.DataFrame, folder: Path, *symbols: str) -> pl.DataFrame:
    bars.write_parquet(folder / "bars.parquet")
    return read_bars(folder / "bars.parquet", symbols, None, None)


REFUSED: list[tuple[str, Spoil, str]] = [
    ("seconds", seconds, "BARS_SCHEMA: .* look like seconds"),
    ("seconds in 32 bits", lambda bars: seconds(bars).cast({"ts": pl.Int32}), "BARS_SCHEMA: .* look like seconds"),
    ("nanoseconds", lambda bars: bars.with_columns(pl.col("ts") * 1_000_000), "BARS_SCHEMA"),
    (
        "beyond 64 bits",
        lambda bars: bars.with_columns(ts=pl.lit(2**64 - 1, dtype=pl.UInt64)),
        "BARS_SCHEMA: ts holds milliseconds",
    ),
    (
        "time zone",
        lambda bars: bars.cast({"ts": pl.Datetime("ms", "UTC")}),
        r'BARS_SCHEMA: ts is Datetime.*64-bit integers.*dt\.epoch\("ms"\)',
    ),
    ("date", lambda bars: bars.with_columns(ts=pl.date(2024, 1, 1)), r"BARS_SCHEMA: ts is Date.*cast it"),
    ("text", lambda bars: bars.cast({"close": pl.String}), "BARS_SCHEMA: close is String"),
    ("truth", lambda bars: bars.with_columns(pl.col("volume") > 0), "BARS_SCHEMA: volume is Boolean"),
    ("nameless", lambda bars: bars.with_columns(symbol=pl.lit("")), "SYMBOL_FORMAT"),
    (
        "case",
        lambda bars: pl.concat([bars, bars.with_columns(symbol=pl.lit("btcusdt"))]),
        "SYMBOL_AMBIGUOUS: BTCUSDT and btcusdt",
    ),
    ("nothing", lambda bars: bars.clear(), "NO_BARS"),
]


@pytest.mark.parametrize(("spoil", "said"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_what_cannot_be_meant_is_refused_by_name(spoil: Spoil, said: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=said) as refusal:
        read(spoil(frame(walk(50))), tmp_path, "BTCUSDT")
    assert refusal.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("kind", [pl.Datetime("ms"), pl.Datetime("us", "UTC"), pl.Datetime("ns")])
def test_times_cast_as_the_refusal_says_are_read(kind: pl.Datetime, tmp_path: Path) -> None:
    unit = {"ms": 1, "us": 1_000, "ns": 1_000_000}[kind.time_unit]
    stored = frame(walk(50)).with_columns((pl.col("ts") * unit).cast(kind))
    with pytest.raises(Refused, match="cast it"):
        read(stored, tmp_path)
    assert read(stored.with_columns(pl.col("ts").dt.epoch("ms")), tmp_path).equals(frame(walk(50)))
    told = stored.to_pandas()["ts"].dt.as_unit("ms").astype("int64")
    assert told.to_list() == frame(walk(50))["ts"].to_list()


@pytest.mark.parametrize("first", [0, 1_000_000_020_000, 1_200_000_000])
def test_milliseconds_of_early_times_are_not_taken_for_seconds(first: int, tmp_path: Path) -> None:
    assert read(frame(walk(50), first=first), tmp_path).height == 50


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["BTCUSDT", "ETHUSDT"])])
def test_a_symbol_may_be_stored_as_a_category(kind: pl.DataType, tmp_path: Path) -> None:
    bars = frame(walk(50)).cast({"symbol": kind})
    assert read(bars, tmp_path, "btcusdt").equals(frame(walk(50)))


def test_narrow_and_unsigned_milliseconds_are_read_like_wide_ones(tmp_path: Path) -> None:
    assert read(frame(walk(50)).cast({"ts": pl.UInt64}), tmp_path).equals(frame(walk(50)))
    early = frame(walk(50), first=0)
    assert read(early.cast({"ts": pl.Int32}), tmp_path).equals(early)


@pytest.mark.parametrize("last", [START, START - HOUR])
def test_a_span_that_ends_before_it_begins_is_called_so(last: int, tmp_path: Path) -> None:
    frame(walk(50)).write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(Refused, match="SPAN_EMPTY"):
        read_bars(tmp_path / "bars.parquet", (), START, last)


@pytest.mark.parametrize("text", ["²²²²²²²²²²", "9" * 40])
def test_digits_that_are_no_time_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="--from"):
        parse_time(text, "--from")


def test_bars_of_another_length_than_the_model_s_are_refused() -> None:
    lengths = (1, 1_000, 60_000, 4 * HOUR, 24 * HOUR, 7 * 24 * HOUR)
    assert [interval_of(bar_ms) for bar_ms in lengths] == ["1ms", "1s", "1m", "4h", "1d", "1w"]
    check_interval(HOUR, "1h")
    with pytest.raises(Refused, match="BARS_INTERVAL: the model reads 1m bars, these are 1h"):
        check_interval(HOUR, "1m")

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine_service.exchange_sim.config import ConfigError
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.recorded import read_recorded_market
from tests.unit.engine_service.exchange_sim.market_floor import ALICE, Floor, account

MINUTE_MS = 60_000


def bars(symbols: tuple[str, ...] = ("BTCUSDT", "1000PEPEUSDT"), count: int = 200) -> pl.DataFrame:
    """Minute bars that wander, one symbol after the other."""
    rows = []
    random = np.random.default_rng(1)
    for symbol in symbols:
        level = 95_000.0 if symbol == "BTCUSDT" else 0.0047
        for i in range(count):
            opened, closed = level, level * float(1 + random.normal(0, 0.002))
            high, low = max(opened, closed) * 1.001, min(opened, closed) * 0.999
            rows.append((symbol, 1_700_000_000_000 + i * MINUTE_MS, opened, high, low, closed, 1000.0 + i))
            level = closed
    return pl.DataFrame(rows, schema=["symbol", "ts", "open", "high", "low", "close", "volume"], orient="row")


def written(tmp_path: Path, frame: pl.DataFrame) -> Path:
    path = tmp_path / "bars.parquet"
    frame.write_parquet(path)
    return path


def test_recorded_bars_are_served_one_per_second_as_they_were(tmp_path: Path) -> None:
    frame = bars()
    floor = Floor(account(ALICE), history_s=600, bars=written(tmp_path, frame))
    floor.run(20_000)
    for symbol, tick in (("BTCUSDT", 0.01), ("1000PEPEUSDT", 1e-7)):
        own = frame.filter(pl.col("symbol") == symbol)
        for market in Market:
            served = floor.exchange.market_data.klines(market, symbol, "1s", limit=1000)[:-1]
            assert len(served) == 120  # half of the file, then twenty seconds
            tolerance = max(tick, float(floor.exchange.market_data.spec(market, symbol).tick_size)) * 0.51
            for name in ("open", "high", "low", "close"):
                expected = own[name].to_numpy()[:120]
                assert np.abs(np.array([float(getattr(b, name)) for b in served]) - expected).max() <= tolerance
            volumes = np.array([float(b.volume) for b in served])
            assert np.allclose(volumes, own["volume"].to_numpy()[:120], atol=5)
    assert floor.exchange.regimes() == []


def test_at_least_fifteen_minutes_of_a_long_file_go_live(tmp_path: Path) -> None:
    source = read_recorded_market(written(tmp_path, bars(("BTCUSDT",), 3000)), (), 7)
    assert len(source.history(10_800)) == 3000 - 900


def test_after_its_end_the_recorded_market_stands_still(tmp_path: Path) -> None:
    floor = Floor(account(ALICE), bars=written(tmp_path, bars(count=40)))
    floor.run(25_000)
    last = floor.exchange.market_data.klines(Market.SPOT, "BTCUSDT", "1s", limit=4)[:-1]
    assert len({b.close for b in last}) == 1
    assert {b.volume for b in last} == {Decimal(0)}


def test_a_missing_bar_stands_still_without_volume(tmp_path: Path) -> None:
    frame = bars()
    gap = frame.filter(~((pl.col("symbol") == "BTCUSDT") & (pl.col("ts") == 1_700_000_000_000 + 5 * MINUTE_MS)))
    floor = Floor(account(ALICE), bars=written(tmp_path, gap))
    sixth = floor.exchange.market_data.klines(Market.SPOT, "BTCUSDT", "1s", 0, None, 10)[5]
    assert sixth.open == sixth.high == sixth.low == sixth.close
    assert sixth.volume == sixth.trades == 0


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (bars().drop("volume"), "missing: volume"),
        (bars(count=10), "at least 40 bars"),
        (bars(("BTC-PERP",)), "quote assets"),
        (bars().with_columns(close=pl.lit(-1.0)), "prices above zero"),
        (bars().with_columns(close=pl.lit(float("nan"))), "finite"),
    ],
)
def test_bars_that_cannot_be_replayed_are_refused_with_the_reason(
    tmp_path: Path, frame: pl.DataFrame, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        read_recorded_market(written(tmp_path, frame), (), 7)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    path.write_text("symbol,ts")
    with pytest.raises(ConfigError, match="readable Parquet"):
        read_recorded_market(path, (), 7)

"""A strategy's own record, by hand: position, fill, fee, and when nothing can be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from governance.live_record import Record, live_records

START = datetime(2026, 3, 1, tzinfo=UTC)
BTC = "BTCUSDT.BINANCE"


def bars(closes: list[float], symbol: str = BTC) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(closes),
            "open_at": [START + timedelta(minutes=index) for index in range(len(closes))],
            "close": closes,
        },
        schema_overrides={"open_at": pl.Datetime("ms", "UTC")},
    )


def fills(*rows: tuple[float, str, float, float, float, str], strategy: str = "a") -> pl.DataFrame:
    """Rows of (minute, side, price, quantity, fee, fee asset)."""
    return pl.DataFrame(
        [
            {
                "strategy": strategy,
                "symbol": BTC,
                "filled_at": START + timedelta(minutes=minute),
                "side": side,
                "price": price,
                "quantity": quantity,
                "fee": fee,
                "fee_asset": asset,
            }
            for minute, side, price, quantity, fee, asset in rows
        ],
        schema_overrides={"filled_at": pl.Datetime("ms", "UTC")},
    )


def record(fills_seen: pl.DataFrame, seen: pl.DataFrame, *, min_bars: int = 2, budget: float = 100.0) -> Record:
    return live_records(fills_seen, seen, {"a": budget}, bars_per_year=525_600, min_bars=min_bars)["a"]


def test_a_round_trip_earns_the_difference_less_both_fees() -> None:
    done = fills((1.5, "BUY", 100.0, 2.0, 0.2, "USDT"), (3.5, "SELL", 105.0, 2.0, 0.21, "USDT"))
    found = record(done, bars([99, 101, 103, 104, 110]))
    assert found.pnl == pytest.approx(2 * 5 - 0.41)
    assert found.bars == 4, "from the bar of the first fill on"


def test_a_position_that_is_still_held_is_valued_at_the_close() -> None:
    assert record(fills((0.5, "SELL", 100.0, 1.0, 0.0, "USDT")), bars([100, 98, 97])).pnl == pytest.approx(3.0)


def test_a_fee_in_the_base_coin_is_valued_at_the_bar() -> None:
    assert record(fills((0.5, "BUY", 100.0, 1.0, 0.01, "BTC")), bars([100, 100])).pnl == pytest.approx(-1.0)


def test_a_fee_in_a_third_coin_needs_its_price() -> None:
    bought = fills((0.5, "BUY", 100.0, 1.0, 0.001, "BNB"))
    assert record(bought, bars([100, 100])).sharpe is None
    priced = pl.concat([bars([100, 100]), bars([600, 600], "BNBUSDT.BINANCE")])
    assert record(bought, priced).pnl == pytest.approx(-0.6)


def test_few_bars_no_fills_or_no_budget_say_nothing() -> None:
    one = fills((0.5, "BUY", 100.0, 1.0, 0.0, "USDT"))
    assert record(one, bars([100, 101, 102]), min_bars=4).sharpe is None
    assert record(one, bars([100, 101, 103]), min_bars=3).sharpe is not None
    assert record(one.clear(), bars([100, 101])).sharpe is None
    assert record(one, bars([100, 101, 103]), budget=0.0).sharpe is None
    assert record(one, bars([100, 101], "ETHUSDT.BINANCE")).sharpe is None


def test_a_fill_before_the_first_bar_makes_the_record_unknown() -> None:
    assert record(fills((-5.0, "BUY", 100.0, 1.0, 0.0, "USDT")), bars([100, 101, 102])).sharpe is None


def test_other_strategies_fills_are_not_counted() -> None:
    assert record(fills((0.5, "BUY", 100.0, 1.0, 0.0, "USDT"), strategy="b"), bars([100, 150])).pnl == 0.0

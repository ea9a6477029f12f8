"""The bars behind a proof are proved as well: what was left out, mended or told apart with later bars is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from strategies.regimes.bar_table import BarTable, check_bars
from strategies.research.lookahead_proof import Proof, cut, prove_table
from tests.unit.strategies.research.test_lookahead_proof import Array, T, market, names

#: Times, prices by name and volume.
Recorded = tuple[Any, dict[str, Array], Array]


def recorded(count: int = T) -> Recorded:
    """Return times, prices and volume with one bar missing, one that is no number and one split, as a file has them."""
    bars = market(count)
    prices = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    prices["close"][120] = np.nan
    for column in prices.values():
        column[250:] /= 2.0
    kept = np.delete(np.arange(count), 200)
    return bars.open_ms[kept], {name: column[kept] for name, column in prices.items()}, bars.volume[kept]


Clean = Callable[[Any, Any, Any], Recorded]


def proof_of_table(clean: Clean) -> Proof:
    def build(before_ms: float) -> BarTable:
        times, prices, volume = recorded()
        then = times < before_ms
        known = clean(times[then], {name: column[then] for name, column in prices.items()}, volume[then])
        return check_bars(*known, drop_dead_tail=False)[0]

    return prove_table(build, build(np.inf))


def test_bars_that_are_only_checked_have_no_leak() -> None:
    proof = proof_of_table(lambda times, prices, volume: (times, prices, volume))
    assert proof.leaks == ()
    assert proof.checked > 10 * T


def outliers_of_the_whole_file_left_out(times: Any, prices: dict[str, Array], volume: Array) -> Recorded:
    step = np.abs(np.diff(np.log(np.nan_to_num(prices["close"], nan=1.0)), prepend=0.0))
    kept = step <= np.median(step) * 8
    return times[kept], {name: column[kept] for name, column in prices.items()}, volume[kept]


def blended_with_the_next_close(times: Any, prices: dict[str, Array], volume: Array) -> Recorded:
    close = prices["close"].copy()
    close[:-1] = np.where(np.isfinite(close[:-1] + close[1:]), 0.9 * close[:-1] + 0.1 * close[1:], close[:-1])
    wide = {"high": np.fmax(prices["high"], close), "low": np.fmin(prices["low"], close)}
    return times, {**prices, **wide, "close": close}, volume


def thin_volume_filled_with_the_mean_of_all(times: Any, prices: dict[str, Array], volume: Array) -> Recorded:
    return times, prices, np.where(volume < 1.2, volume.mean(), volume)


def splits_adjusted_backwards(times: Any, prices: dict[str, Array], volume: Array) -> Recorded:
    """What data vendors do: the past is rewritten when a split comes."""
    factor = 0.5 if times.max() > 250 * 60_000 else 1.0
    before = times < 250 * 60_000
    return times, {name: np.where(before, column * factor, column) for name, column in prices.items()}, volume


@pytest.mark.parametrize(
    ("clean", "column"),
    [
        (outliers_of_the_whole_file_left_out, "bar:open_ms"),
        (blended_with_the_next_close, "bar:close"),
        (thin_volume_filled_with_the_mean_of_all, "bar:volume"),
        (splits_adjusted_backwards, "bar:open"),
    ],
)
def test_bars_that_were_mended_with_later_ones_are_named(clean: Clean, column: str) -> None:
    assert column in names(proof_of_table(clean))


def test_a_break_that_only_the_future_shows_is_named() -> None:
    whole = market()

    def build(before_ms: int) -> BarTable:
        return cut(whole, int((whole.open_ms < before_ms).sum()))

    known_later = replace(whole, stretches=(slice(0, 100), slice(100, T)))
    assert names(prove_table(build, known_later)) == {"bar:stretch"}

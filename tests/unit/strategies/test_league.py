"""Standings of challengers: earned as a backtest would, the same again from stored bars, ranked by what was earned."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from strategies.contracts import Bar
from strategies.features import WARM_UP, compute
from strategies.league import Challenger, Standing, begin_together, common, rank, replay
from strategies.regime_policy import PolicyOptions, RegimePolicy
from strategies.regimes.fit import FitOptions, fit
from strategies.regimes.model import RegimeModel

SYMBOL = "BTCUSDT.BINANCE"
OPTIONS = PolicyOptions(round_trip_cost_bps=4.0, cooldown_s=0.0)
COST_BPS = 2.0
WARM, LIVE = 200, 400


def market(bars: int, seed: int = 3) -> list[Bar]:
    """Two regimes that differ in drift and volatility, each lasting 60 bars."""
    chance = np.random.default_rng(seed)
    rising = (np.arange(bars) // 60) % 2 == 0
    steps = np.where(rising, chance.normal(4e-4, 3e-4, bars), chance.normal(-8e-4, 2e-3, bars))
    close = 100.0 * np.exp(np.cumsum(steps))
    opened = np.concatenate([[100.0], close[:-1]])
    spread = np.where(rising, 2e-4, 1.5e-3)
    return [
        Bar(
            symbol=SYMBOL,
            open_at_ms=(at + 1) * 60_000,
            close_at_ms=(at + 2) * 60_000 - 1,
            open=float(opened[at]),
            high=float(max(opened[at], close[at]) * (1 + spread[at])),
            low=float(min(opened[at], close[at]) * (1 - spread[at])),
            close=float(close[at]),
            volume=10.0,
        )
        for at in range(bars)
    ]


@pytest.fixture(scope="module")
def model() -> RegimeModel:
    bars = market(3000)
    columns = [np.array([getattr(bar, name) for bar in bars]) for name in ("open", "high", "low", "close", "volume")]
    times = np.array([bar.open_at_ms for bar in bars])
    return fit(compute(*columns), times, 60_000, FitOptions(candidates=(2,)))[0]


def judged(model: RegimeModel, bars: list[Bar], warm: int = WARM) -> Standing:
    challenger = Challenger(SYMBOL, model, "rm-000000000001", OPTIONS, COST_BPS)
    challenger.warm(bars[:warm])
    for bar in bars[warm:]:
        challenger.on_bar(bar)
    return challenger.standing


def test_a_standing_is_what_the_policys_exposures_earn_net_of_costs(model: RegimeModel) -> None:
    bars = market(WARM + LIVE, seed=5)
    standing = judged(model, bars)
    policy = RegimePolicy(model, "rm-000000000001", OPTIONS)
    policy.warm(bars[:WARM])
    exposures = [0.0]
    for bar in bars[WARM:]:
        signal = policy.on_bar(bar)
        exposures.append(signal.target if signal else exposures[-1])
    closes = np.array([bar.close for bar in bars[WARM - 1 :]])
    changes = np.abs(np.diff(exposures))
    net = np.array(exposures[:-1]) * (closes[1:] / closes[:-1] - 1.0) - changes * COST_BPS / 10_000.0
    assert changes.sum() > 2.0
    assert standing.bars == LIVE
    assert standing.turnover == pytest.approx(changes.sum())
    assert standing.net_return == pytest.approx(np.prod(1 + net) - 1)
    assert standing.sharpe == pytest.approx(net.mean() / net.std(ddof=1))
    assert standing.sharpe_se == pytest.approx(math.sqrt((1 + standing.sharpe**2 / 2) / LIVE))


@pytest.mark.parametrize("warm", [WARM, 0])
def test_stored_bars_give_the_same_standing_to_the_last_bit(model: RegimeModel, warm: int) -> None:
    bars = market(WARM + LIVE, seed=6)
    live = judged(model, bars, warm)
    stored = [*bars, *[replace(bar, open_at_ms=bar.open_at_ms + 10**9) for bar in bars[:5]]]
    assert replay(SYMBOL, model, OPTIONS, COST_BPS, live, stored) == live


def play(model: RegimeModel, bars: list[Bar], entries: dict[str, int]) -> list[Challenger]:
    """Let versions in after so many bars each, as an engine does: warmed on what was before."""
    present: list[Challenger] = []
    for at, bar in enumerate(bars):
        for version in (version for version, entry in entries.items() if entry == at):
            present.append(Challenger(SYMBOL, model, version, OPTIONS, COST_BPS))
            present[-1].warm(bars[:at])
        begin_together(present, bar)
        for challenger in present:
            challenger.on_bar(bar)
    return present


def test_versions_are_ranked_on_the_bars_that_all_were_judged_on(model: RegimeModel) -> None:
    bars = market(WARM + LIVE, seed=7)
    entries = {"first": WARM, "second": WARM + 130, "third": WARM + 250}
    present = play(model, bars, entries)
    assert [one.standing.bars for one in present] == [400, 270, 150]
    own = rank(one.standing for one in present)
    assert len({row.sharpe for row in own}) == 3, "on bars of their own the same model has three ranks"
    standings = common(present)
    assert {(row.bars, row.first_open_ms) for row in standings} == {(150, bars[WARM + 250].open_at_ms)}
    # The same model earns the same on the same bars, once all of them hold the same.
    late = {row.version: row for row in standings}
    assert abs(late["first"].net_return - late["second"].net_return) < 1e-12
    again = [replay(SYMBOL, model, OPTIONS, COST_BPS, row, bars) for row in standings]
    assert again == standings
    assert rank(again) == rank(standings)


def test_when_the_last_to_come_has_gone_the_span_of_the_others_is_theirs_again(model: RegimeModel) -> None:
    bars = market(WARM + LIVE, seed=7)
    first, second, _gone = play(model, bars, {"first": WARM, "second": WARM + 130, "third": WARM + 250})
    assert {row.bars for row in common([first, second])} == {270}
    new = Challenger(SYMBOL, model, "new", OPTIONS, COST_BPS)
    assert [row.bars for row in common([first, second, new])] == [270, 270, 0], "it shortens nobody's span"
    assert rank(common([first, second, new]))[-1].version == "new"


def test_symbols_that_not_all_versions_have_do_not_count_unless_none_is_shared(model: RegimeModel) -> None:
    bars = market(WARM + 50, seed=8)
    other = [replace(bar, symbol="ETHUSDT.BINANCE") for bar in bars]
    both = [Challenger(name, model, "both", OPTIONS, COST_BPS) for name in (SYMBOL, "ETHUSDT.BINANCE")]
    one = Challenger(SYMBOL, model, "one", OPTIONS, COST_BPS)
    for at, pair in enumerate(zip(bars, other, strict=True)):
        for challengers, bar in (([both[0], one], pair[0]), ([both[1]], pair[1])):
            if at >= WARM:
                begin_together(challengers, bar)
            for challenger in challengers:
                (challenger.on_bar if at >= WARM else challenger.warm_one)(bar)
    assert {(row.version, row.symbol) for row in common([*both, one])} == {("both", SYMBOL), ("one", SYMBOL)}
    assert {(row.version, row.symbol) for row in common([both[1], one])} == {
        ("both", "ETHUSDT.BINANCE"),
        ("one", SYMBOL),
    }


def test_one_changed_bar_is_noticed(model: RegimeModel) -> None:
    bars = market(WARM + LIVE, seed=6)
    live = judged(model, bars)
    bars[WARM + 50] = replace(bars[WARM + 50], close=bars[WARM + 50].close * 1.001)
    assert replay(SYMBOL, model, OPTIONS, COST_BPS, live, bars) != live


def test_before_its_features_are_complete_a_challenger_holds_nothing(model: RegimeModel) -> None:
    standing = judged(model, market(WARM_UP - 1), warm=0)
    assert (standing.net_return, standing.turnover) == (0.0, 0.0)


def test_the_rank_goes_by_sharpe_over_all_symbols() -> None:
    def row(version: str, symbol: str, sharpe: float) -> Standing:
        return Standing(
            version=version,
            symbol=symbol,
            warm_from_ms=1,
            judged_from_ms=2,
            first_open_ms=2,
            last_open_ms=9,
            bars=100,
            net_return=sharpe / 10,
            turnover=2.0,
            sharpe=sharpe,
            sharpe_se=0.1,
        )

    table = rank([row("b", "X", 0.3), row("b", "Y", -0.1), row("a", "X", 0.2), row("a", "Y", 0.2), row("c", "X", 0.05)])
    assert [found.version for found in table] == ["a", "b", "c"]
    assert table[0].sharpe == pytest.approx(0.2)
    assert table[0].bars == 200
    assert table[0].sharpe_se == pytest.approx(math.sqrt(0.02) / 2)

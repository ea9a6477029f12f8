from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from numpy.typing import NDArray

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.seeded_market import MAX_DWELL_S, REGIMES, SeededMarket
from tests.unit.engine_service.exchange_sim.market_floor import NOW_MS, Floor

WINDOW = 10


def test_the_same_seed_gives_the_same_seconds_however_they_are_cut() -> None:
    whole = SeededMarket(5).history(300)
    cut = SeededMarket(5)
    first = cut.history(130)
    rest = [cut.next_block() for _ in range(3)]
    prices = np.concatenate([first.prices, *(b.prices for b in rest)])[:300]
    assert np.array_equal(prices, whole.prices)
    assert not np.array_equal(SeededMarket(6).history(300).prices, whole.prices)


@pytest.mark.parametrize("seed", [7, 11, 23])
def test_every_two_minutes_see_more_than_one_regime(seed: int) -> None:
    regimes = SeededMarket(seed).history(7200).regimes
    changes = np.flatnonzero(np.diff(regimes)) + 1
    longest = np.diff(np.concatenate([[0], changes, [len(regimes)]])).max()
    assert longest <= MAX_DWELL_S < 120
    assert set(regimes.tolist()) == {0, 1, 2}


def test_regimes_differ_in_drift_volatility_and_volume_as_they_say() -> None:
    past = SeededMarket(7).history(20_000)
    returns = np.diff(np.log(past.prices[:, -1, 0]), prepend=np.log(past.prices[0, 0, 0]))
    spread = [returns[past.regimes == k].std() / 1e-4 for k in range(3)]
    drift = [returns[past.regimes == k].mean() / 1e-4 for k in range(3)]
    volume = [past.volumes[past.regimes == k][:, :, 0].sum(axis=1).mean() for k in range(3)]
    assert spread == pytest.approx([r.volatility_bps for r in REGIMES], rel=0.1)
    assert drift[0] < -0.5 < drift[1] < 0.5 < drift[2]
    assert volume[1] < volume[2] < volume[0]


def test_symbols_move_together_with_fat_tails() -> None:
    past = SeededMarket(7).history(20_000)
    calm = np.diff(np.log(past.prices[:, -1]), axis=0)[past.regimes[1:] == 1]
    correlation = np.corrcoef(calm.T)
    kurtosis = ((calm - calm.mean(0)) ** 4).mean(0) / calm.var(0) ** 2
    assert correlation[~np.eye(6, dtype=bool)].min() > 0.4
    assert kurtosis.min() > 3.3


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT"])
@pytest.mark.parametrize("seed", [7, 11])
def test_an_honest_filter_on_the_published_bars_finds_the_regimes(symbol: str, seed: int) -> None:
    floor = Floor(seed=seed, history_s=7200)
    bars = floor.exchange.market_data.klines(Market.SPOT, symbol, "1s", NOW_MS - 7_200_000, limit=7200)
    truth = np.array([p.regime for p in floor.exchange.regimes()])
    close = np.log([float(b.close) for b in bars])
    tick = float(floor.exchange.market_data.spec(Market.SPOT, symbol).tick_size) / float(bars[0].close)
    spans = np.log([float(b.high) / float(b.low) for b in bars]) + tick
    moves = np.diff(close, prepend=close[0])
    rolled = np.array([moves[max(0, i - WINDOW) : i + 1].std() for i in range(len(moves))])
    features = np.column_stack([moves, np.log(spans), np.log(rolled + tick)])[WINDOW:]
    truth, trained = truth[WINDOW:], 5000
    scaled = (features - features[:trained].mean(0)) / features[:trained].std(0)
    model = GaussianHMM(3, "diag", n_iter=40, random_state=1).fit(scaled[:trained])
    found = filtered(model, scaled)
    names = max(permutations(range(3)), key=lambda p: (np.array(p)[found] == truth)[:trained].mean())
    assert (np.array(names)[found] == truth)[trained:].mean() >= 0.9


def filtered(model: GaussianHMM, rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Most probable state at each row given the rows up to it."""
    weights = np.exp(model._compute_log_likelihood(rows) - model._compute_log_likelihood(rows).max(1)[:, None])
    state, found = model.startprob_ * weights[0] + 1e-12, []
    for likelihood in weights:
        state = (state @ model.transmat_) * likelihood + 1e-300
        state = state / state.sum()
        found.append(int(state.argmax()))
    return np.array(found)

"""Features of a panel beside pandas, and beside NumPy as one would first write it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.row import Row
from tests.research_benchmarks import peers

PANDAS = ("backtesting==0.6.6", "numpy==2.4.6", "pandas==2.3.3")
SCRIPT = Path(__file__).parent / "peer_scripts" / "with_pandas.py"
SYMBOLS, BARS = 500, 1_440
ROUNDS = 5
#: pandas takes differences of running sums: so much of its digits is left.
WITHIN = 1e-6


def against_pandas() -> Row:
    """Panels a second.

    Raises:
        RuntimeError: the two computed something else.
    """
    import numpy as np  # noqa: PLC0415  # the names of the rows must be cheap to list

    panel = _panel()
    with tempfile.TemporaryDirectory() as folder:
        bars, out = Path(folder) / "bars.npz", Path(folder) / "out.npy"
        np.savez(bars, **panel)
        said = peers.run(peers.environment(PANDAS), SCRIPT, str(bars), str(out), str(ROUNDS))
        theirs = np.load(out).transpose(1, 0, 2)
    seconds, found = _ours(panel)
    _same(found, theirs)
    return Row(1 / seconds, 1 / min(said["rounds"]), "panels/s", "500 symbols of 1,440 bars, seven columns")


def against_numpy() -> Row:
    """Panels a second, beside sums over every window.

    Raises:
        RuntimeError: the two computed something else.
    """
    panel = _panel()
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        theirs = _plain(panel)
        rounds.append(time.perf_counter() - began)
    seconds, found = _ours(panel)
    _same(found, theirs)
    return Row(1 / seconds, 1 / min(rounds), "panels/s", "sums over every window, all symbols at once")


def _ours(panel: dict[str, Any]) -> tuple[float, Any]:
    from strategies.features import compute  # noqa: PLC0415  # as above

    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = compute(*(panel[name] for name in ("open", "high", "low", "close", "volume")))
        rounds.append(time.perf_counter() - began)
    return min(rounds), found


def _panel() -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415  # as above

    chance = np.random.default_rng(11)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 1e-3, (SYMBOLS, BARS)), axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    return {
        "open": opened,
        "high": np.maximum(opened, close) * 1.0005,
        "low": np.minimum(opened, close) * 0.9995,
        "close": close,
        "volume": chance.uniform(1.0, 2.0, (SYMBOLS, BARS)),
    }


def _plain(panel: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415  # as above
    from numpy.lib.stride_tricks import sliding_window_view  # noqa: PLC0415  # as above

    high, low, close, volume = (panel[name] for name in ("high", "low", "close", "volume"))
    log_close = np.log(close)
    returns = np.diff(log_close, axis=1)
    result = np.full((*close.shape, 7), np.nan)
    result[:, 1:, 0] = returns
    result[:, 20:, 1] = sliding_window_view(returns, 20, axis=1).std(axis=-1, ddof=1)
    typical, traded = (sliding_window_view(each, 20, axis=1) for each in ((high + low + close) / 3.0, volume))
    result[:, 19:, 2] = close[:, 19:] / ((typical * traded).sum(axis=-1) / traded.sum(axis=-1)) - 1.0
    prices = sliding_window_view(close, 30, axis=1)
    result[:, 29:, 3] = (close[:, 29:] - prices.mean(axis=-1)) / prices.std(axis=-1, ddof=1)
    result[:, 19:, 4] = volume[:, 19:] / traded.mean(axis=-1)
    result[:, :, 5] = np.log(np.maximum(np.log(high / low), 1e-6))
    result[:, 19:, 6] = sliding_window_view(log_close, 20, axis=1) @ ((np.arange(20) - 9.5) / 665.0)
    return result


def _same(ours: Any, theirs: Any) -> None:
    import numpy as np  # noqa: PLC0415  # as above

    if not np.allclose(ours, theirs, rtol=WITHIN, atol=WITHIN, equal_nan=True):
        raise RuntimeError(f"features differ by {np.nanmax(np.abs(ours - theirs)):.3g}")


ROWS = {"features": against_pandas, "features_vs_numpy": against_numpy}

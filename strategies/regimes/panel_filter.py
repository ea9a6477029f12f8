"""The forward filter of many symbols at once: the same formula as one symbol's, one array operation for all.

Everything a bar needs is allocated once. Arrays are laid out regime by regime with the symbols side by side, so that
each operation runs over one long row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strategies.features import FEATURES
from strategies.regimes.emission import emission
from strategies.regimes.model import JUMP, RegimeModel

Array = NDArray[np.float64]
#: Bars whose densities are worked out together: enough to hide the overhead, few enough to stay in the cache.
CHUNK = 32
WIDTH = len(FEATURES)


class PanelFilter:
    """Filters of S symbols, each with its own model of at most K regimes and D features.

    A symbol whose row is not finite (no bar, warm-up) keeps its posterior. Regimes beyond a model's own number hold
    probability 0.
    """

    def __init__(self, models: Sequence[RegimeModel]) -> None:
        """Lay out the models.

        Raises:
            ValueError: there is no model, or one is a jump model, whose recursion is another.
        """
        if not models or any(model.kind == JUMP for model in models):
            raise ValueError("a panel holds one or more Gaussian hidden Markov models")
        symbols, regimes = len(models), max(model.count for model in models)
        width = max(len(model.features) for model in models)
        self._take = np.zeros((width, symbols), dtype=np.intp)
        self._constant = np.full((regimes, symbols), -np.inf)
        self._centre = np.zeros((regimes, width, symbols))
        self._whiten = np.zeros((regimes, width, width, symbols))
        self._start = np.zeros((regimes, symbols))
        self._transitions = np.zeros((regimes, regimes, symbols))
        for at, model in enumerate(models):
            self._place(at, model)
        self._is_diagonal = not any(model.full_covariance for model in models)
        self._factor = np.ascontiguousarray(np.einsum("kdds->kds", self._whiten) ** 2)
        self._posterior = np.zeros((regimes, symbols))
        self._is_fresh = np.ones(symbols, dtype=bool)
        self._buffers = _Buffers(1, regimes, width, symbols)
        self._chunk: _Buffers | None = None

    def _place(self, at: int, model: RegimeModel) -> None:
        gaussians, count, width = emission(model), model.count, len(model.features)
        self._take[:width, at] = [at * WIDTH + column for column in model.columns]
        self._constant[:count, at] = gaussians.constant
        self._centre[:count, :width, at] = gaussians.centre
        self._whiten[:count, :width, :width, at] = gaussians.whiten
        self._start[:count, at] = model.startprob
        self._transitions[:count, :count, at] = model.transmat.T

    @property
    def posteriors(self) -> Array:
        """The newest posteriors, shape (S, K), as a view that the next step writes over; zeros before the first."""
        return self._posterior.T

    def step(self, rows: Array) -> Array:
        """Take one bar of every symbol, shape (S, 7), and return ``posteriors``; into room made beforehand.

        Raises:
            ValueError: the rows are of another shape.
        """
        self._check(rows.shape)
        self._densities(rows[None], self._buffers)
        self._advance(self._buffers, 0)
        return self.posteriors

    def run(self, rows: Array) -> Array:
        """Take T bars of every symbol, shape (T, S, 7), and return the posteriors of every bar, (T, S, K).

        Raises:
            ValueError: the rows are of another shape.
        """
        self._check(rows.shape[1:])
        regimes, symbols = self._posterior.shape
        if self._chunk is None:
            self._chunk = _Buffers(CHUNK, *self._centre.shape)
        found = np.empty((len(rows), symbols, regimes))
        for first in range(0, len(rows), CHUNK):
            part = rows[first : first + CHUNK]
            buffers = self._chunk if len(part) == CHUNK else _Buffers(len(part), *self._centre.shape)
            self._densities(part, buffers)
            for at in range(len(part)):
                self._advance(buffers, at)
                found[first + at] = self.posteriors
        return found

    def _check(self, shape: tuple[int, ...]) -> None:
        wanted = (self._posterior.shape[1], WIDTH)
        if shape != wanted:
            raise ValueError(f"a bar of this panel has the shape {wanted}, not {shape}")

    def _densities(self, rows: Array, buffers: _Buffers) -> None:
        """Work out b_k of each bar in units of its likeliest regime."""
        rows.reshape(len(rows), -1).take(self._take, axis=1, out=buffers.values, mode="clip")
        np.subtract(buffers.values[:, None], self._centre, out=buffers.distance)
        spread = buffers.distance
        if self._is_diagonal:
            np.multiply(spread, spread, out=spread)
            np.multiply(spread, self._factor, out=spread)
        else:
            spread = buffers.spread
            np.einsum("kdes,nkes->nkds", self._whiten, buffers.distance, out=spread)
            np.multiply(spread, spread, out=spread)
        np.add.reduce(spread, axis=2, out=buffers.density)
        np.subtract(self._constant, buffers.density, out=buffers.density)
        np.maximum.reduce(buffers.density, axis=1, out=buffers.highest)
        np.isfinite(buffers.highest, out=buffers.usable)
        # A row that is not finite makes NaN here; the symbol's posterior is then left alone.
        with np.errstate(invalid="ignore"):
            np.subtract(buffers.density, buffers.highest[:, None], out=buffers.density)
        np.exp(buffers.density, out=buffers.density)

    def _advance(self, buffers: _Buffers, at: int) -> None:
        density, usable, weights, total = buffers.density[at], buffers.usable[at], buffers.weights, buffers.total
        np.multiply(self._transitions, self._posterior, out=buffers.moved)
        np.add.reduce(buffers.moved, axis=1, out=weights)
        if self._is_fresh.any():
            np.copyto(weights, self._start, where=self._is_fresh)
            np.greater(self._is_fresh, usable, out=self._is_fresh)
        np.multiply(weights, density, out=weights)
        np.add.reduce(weights, axis=0, out=total)
        np.less_equal(total, 0.0, out=buffers.flags)
        # All mass on regimes that cannot explain the bar: fall back to what the bar alone says.
        if buffers.flags.any():
            np.copyto(weights, density, where=buffers.flags)
            np.add.reduce(weights, axis=0, out=total)
        np.divide(weights, total, out=weights)
        np.copyto(self._posterior, weights, where=usable)


class _Buffers:
    """Room for the intermediate values of ``bars`` bars."""

    __slots__ = ("density", "distance", "flags", "highest", "moved", "spread", "total", "usable", "values", "weights")

    def __init__(self, bars: int, regimes: int, width: int, symbols: int) -> None:
        self.values = np.empty((bars, width, symbols))
        self.distance = np.empty((bars, regimes, width, symbols))
        self.spread = np.empty_like(self.distance)
        self.density = np.empty((bars, regimes, symbols))
        self.highest = np.empty((bars, symbols))
        self.usable = np.empty((bars, symbols), dtype=bool)
        self.moved = np.empty((regimes, regimes, symbols))
        self.weights = np.empty((regimes, symbols))
        self.total = np.empty(symbols)
        self.flags = np.empty(symbols, dtype=bool)

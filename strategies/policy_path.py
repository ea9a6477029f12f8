"""The live policy over whole series of posteriors at once: for walk-forward, stress and the look-ahead proof."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from strategies.regime_policy import PolicyOptions
from strategies.regimes.calibration import Calibration

Array = NDArray[np.float64]


def confidences(posteriors: Array, calibration: Calibration | None = None) -> Array:
    """Return the confidence after each bar, (..., T), of posteriors (..., T, K); NaN where there is none."""
    raw: Array = posteriors.max(axis=-1) if posteriors.shape[-1] else np.zeros(posteriors.shape[:-1])
    return calibration.of_all(raw) if calibration else raw


def held_exposures(
    posteriors: Array, exposures: Array, policy: PolicyOptions, bar_ms: int, calibration: Calibration | None = None
) -> Array:
    """Return the exposure held after each bar, (..., T): gate, hysteresis and cooldown as ``RegimePolicy`` has them.

    Args:
        posteriors: (..., T, K); a bar without one (NaN) changes nothing.
        exposures: what each regime deserves, (K,).
        calibration: the model's, where it has one: the gate is one for calibrated confidences then.
    """
    sure = confidences(posteriors, calibration) >= policy.confidence_gate
    if posteriors.ndim == 2:
        return _one_path(posteriors, exposures, sure, policy, bar_ms)
    wanted = posteriors @ exposures
    patience = math.ceil(policy.cooldown_s * 1000 / bar_ms)
    held = np.empty(wanted.shape)
    now = np.zeros(wanted.shape[:-1])
    acted = np.full(wanted.shape[:-1], -patience)
    for bar in range(wanted.shape[-1]):
        target = wanted[..., bar]
        moved = sure[..., bar] & (np.abs(target - now) >= policy.hysteresis)
        # Leaving is never delayed; only new exposure waits for the cooldown.
        leaving = (np.abs(target) < np.abs(now)) & (target * now >= 0)
        moved &= leaving | (bar - acted >= patience)
        now = np.where(moved, target, now)
        acted = np.where(moved, bar, acted)
        held[..., bar] = now
    return held


def _one_path(
    posteriors: Array, exposures: Array, sure: NDArray[np.bool_], policy: PolicyOptions, bar_ms: int
) -> Array:
    """The same of one path, (T, K), in plain floats: many times quicker than arrays of one."""
    wanted = posteriors @ exposures
    patience = math.ceil(policy.cooldown_s * 1000 / bar_ms)
    held = np.empty(len(wanted))
    now, acted = 0.0, -patience
    for bar, (target, may) in enumerate(zip(wanted.tolist(), sure.tolist(), strict=True)):
        if may and abs(target - now) >= policy.hysteresis:
            leaving = abs(target) < abs(now) and target * now >= 0
            if leaving or bar - acted >= patience:
                now, acted = target, bar
        held[bar] = now
    return held

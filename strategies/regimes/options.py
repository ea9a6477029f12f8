"""What a person may choose about a fit, and the refusal of what cannot be fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace

DEFAULT_FEATURES = ("log_return", "log_range")
COVARIANCES = ("diag", "full")
MIN_ROWS_PER_PARAMETER = 10


class FitRefused(ValueError):
    """No model can be fitted to this; ``code`` says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How to fit.

    Args:
        candidates: numbers of regimes that are tried.
        starts: of each number; half from k-means, half from random stretches.
        iterations: at most, for a start that is run to its end.
        covariance: ``diag`` or ``full``.
        stickiness: Dirichlet weight on staying.
        covariance_floor: least variance, in standardised units.
        min_occupancy_frac: least share of the bars in every regime.
        min_dwell_bars: least expected stay in every regime.
        jump_penalties: of a jump model, from which one is chosen within the sample, in squared standard units.
        min_refit_agreement: least adjusted Rand index between two refits on parts of the bars; 0 asks for none.
    """

    candidates: tuple[int, ...] = (2, 3)
    features: tuple[str, ...] = DEFAULT_FEATURES
    starts: int = 10
    iterations: int = 100
    covariance: str = "diag"
    stickiness: float = 50.0
    covariance_floor: float = 1e-3
    min_occupancy_frac: float = 0.05
    min_dwell_bars: float = 3.0
    min_refit_agreement: float = 0.3
    jump_penalties: tuple[float, ...] = (0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
    seed: int = 7

    def __post_init__(self) -> None:
        if self.covariance not in COVARIANCES or not self.candidates or self.starts < 1:
            raise ValueError(
                f"covariance is one of {', '.join(COVARIANCES)}; one number of regimes and one start at least"
            )

    def parameters(self, count: int) -> int:
        """Return the free parameters of a Gaussian hidden Markov model: start, transitions, means, covariances."""
        width = len(self.features)
        spread = width * (width + 1) // 2 if self.covariance == "full" else width
        return count * count - 1 + count * (width + spread)

    def least_rows(self, count: int) -> int:
        """Return how many bars a fit of ``count`` regimes needs."""
        return MIN_ROWS_PER_PARAMETER * self.parameters(count)

    def quick(self, iterations: int) -> FitOptions:
        """Return the same with fewer iterations."""
        return replace(self, iterations=min(iterations, self.iterations))

"""One line of the benchmark: what we do, what the peer does, in the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """Two figures of one ``unit``. The ratio travels between machines; the figures do not."""

    ours: float
    peer: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    def as_json(self) -> dict[str, float | str]:
        """Return what scripts read, to four significant digits."""
        figures = {"ours": self.ours, "peer": self.peer, "ratio": self.ratio}
        return {**{name: float(f"{value:.4g}") for name, value in figures.items()}, "unit": self.unit}

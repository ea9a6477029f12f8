"""One line of the benchmark: what we do, what the peer does, in the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """Two figures of one ``unit``. The ratio travels between machines; the figures do not.

    ``note`` tells the reader what the figures hide: sizes of a sample, a goal in place of a peer.
    """

    ours: float
    peer: float
    unit: str
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    def as_json(self) -> dict[str, float | str]:
        """Return what scripts read, to four significant digits."""
        figures = {"ours": self.ours, "peer": self.peer, "ratio": self.ratio}
        note = {"note": self.note} if self.note else {}
        return {**{name: float(f"{value:.4g}") for name, value in figures.items()}, "unit": self.unit, **note}

"""The crash campaign's figures, summed over its lanes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.faults.crash_lane import LaneResult

SUMMED = (
    "kills",
    "orders",
    "at_exchange",
    "fills",
    "acknowledged",
    "unanswered",
    "replayed",
    "cut_off",
    "doubted",
    "not_placed",
)


def figures(lanes: Sequence[LaneResult], seconds: float) -> dict[str, Any]:
    """Return the figures of a campaign; ``findings`` counts broken promises by kind and is empty on a pass."""
    restarts = sorted(second for lane in lanes for second in lane.restart_s)
    doubts = sorted(second for lane in lanes for second in lane.in_doubt_s)
    return {
        **{name: sum(getattr(lane, name) for lane in lanes) for name in SUMMED},
        "missed": sum(len(lane.missed) for lane in lanes),
        "findings": dict(Counter(finding.kind for lane in lanes for finding in lane.findings)),
        "equity_error": [lane.equity_error for lane in lanes],
        "restart_p50_s": _quantile(restarts, 0.5),
        "restart_max_s": _quantile(restarts, 1.0),
        "in_doubt_p50_s": _quantile(doubts, 0.5),
        "in_doubt_p99_s": _quantile(doubts, 0.99),
        "seconds": round(seconds, 1),
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else 0.0

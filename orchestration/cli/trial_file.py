"""The trials that were made so far, one JSON line each: who chooses among many must count them all.

A trial is one setting of a strategy on one span of bars at one set of costs; made again it is the same trial. Counted
together are those of the same strategy on the same symbols and bar length, whatever their span and costs were: that is
what the choice was made among.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.cli.layout import Exit, Refused

if TYPE_CHECKING:
    from engine_service.backtest.series import BarSeries
    from orchestration.cli.backtest_run import RunOptions
    from strategies.research.metrics import SharpeEstimate

_NAMES = {"trial", "strategy", "symbols", "bar_ms", "settings", "terms", "sharpe_per_bar"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is chosen among. ``terms`` are span and costs, which tell one trial from another."""

    strategy: str
    symbols: tuple[str, ...]
    bar_ms: int
    terms: Mapping[str, str]

    def key(self, settings: Mapping[str, str]) -> str:
        """Return the name of a trial: equal trials, equal names."""
        whole = [self.strategy, self.symbols, self.bar_ms, dict(self.terms), dict(settings)]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def scope_of(options: RunOptions, series: Mapping[str, BarSeries], model: str = "") -> Scope:
    """Return what a run with these options chooses among; ``model`` is the version that it traded, if any."""
    terms = {
        "from_ms": str(min(int(each.open_at[0]) for each in series.values())),
        "to_ms": str(max(int(each.close_at[-1]) for each in series.values())),
        "fee_bps": str(options.fee_bps),
        "half_spread_bps": str(options.half_spread_bps),
        "fill_at": options.fill_at,
        "long_only": str(options.long_only),
        "market": options.market,
    }
    rare = {"notional": options.notional, "funding": options.funding, "model": model, **options.limits}
    return Scope(
        strategy=options.strategy,
        symbols=tuple(series),
        bar_ms=min(each.bar_ms for each in series.values()),
        terms=terms | {name: str(value) for name, value in rare.items() if value},
    )


def count_trials(path: Path, scope: Scope, made: Sequence[tuple[Mapping[str, str], float]]) -> list[float]:
    """Record trials, each its settings and Sharpe ratio per bar; return the ratios of the others that count.

    Raises:
        Refused: as ``record_trials``.
    """
    before = earlier_trials(path, scope)
    record_trials(path, scope, made)
    now = {scope.key(settings) for settings, _ in made}
    return [ratio for name, ratio in before.items() if name not in now]


def deflated(best: SharpeEstimate, scale: float, ratios: Sequence[float]) -> dict[str, float]:
    """Return how sure the best is above zero after so many trials, and what the best of worthless ones would show.

    Args:
        scale: annualises a Sharpe ratio per bar; ratios: those per bar of all trials, the best one included.
    """
    import numpy as np  # noqa: PLC0415  # only when asked

    from strategies.research.metrics import deflated_sharpe, expected_best  # noqa: PLC0415  # as above

    spread = float(np.std(ratios, ddof=1)) if len(ratios) > 1 else 0.0
    return {
        "trials_counted": len(ratios),
        "deflated_sharpe": deflated_sharpe(best, ratios),
        "expected_best_sharpe": expected_best(len(ratios), spread) * scale,
    }


def earlier_trials(path: Path, scope: Scope) -> dict[str, float]:
    """Return the Sharpe ratios per bar of all recorded trials that count, by the trial's name.

    Raises:
        Refused: the file cannot be read, or a line of it is no trial.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"--trials {path}: {error}", Exit.USAGE) from error
    found = {}
    for number, line in enumerate(lines, start=1):
        row = _parsed(path, number, line)
        same = (row["strategy"], tuple(row["symbols"]), row["bar_ms"])
        if same == (scope.strategy, scope.symbols, scope.bar_ms):
            found[str(row["trial"])] = float(row["sharpe_per_bar"])
    return found


def record_trials(path: Path, scope: Scope, trials: Sequence[tuple[Mapping[str, str], float]]) -> None:
    """Append trials, each its settings and Sharpe ratio per bar, and await the disk; those recorded stay as they are.

    Raises:
        Refused: the file cannot be written, or as ``earlier_trials``.
    """
    known = earlier_trials(path, scope)
    rows = [
        {
            "trial": scope.key(settings),
            "strategy": scope.strategy,
            "symbols": scope.symbols,
            "bar_ms": scope.bar_ms,
            "settings": dict(settings),
            "terms": dict(scope.terms),
            "sharpe_per_bar": ratio,
        }
        for settings, ratio in trials
    ]
    lines = [json.dumps(row, sort_keys=True) + "\n" for row in rows if row["trial"] not in known]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Refused(f"--trials {path}: {error}", Exit.USAGE) from error


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        sound = set(row) == _NAMES and isinstance(row["symbols"], list) and math.isfinite(row["sharpe_per_bar"])
    except (ValueError, TypeError):
        sound = False
    if not sound:
        raise Refused(f"TRIALS_INVALID: line {number} of {path} is no trial; mend it or name another file", Exit.USAGE)
    found: dict[str, Any] = row
    return found

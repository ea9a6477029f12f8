"""The page of an evaluation: every symbol's figures, regimes and equity in one HTML file that needs nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from assets.plots import drift_picture, equity_picture, regime_picture
from governance.model_card import ModelCard
from orchestration.cli.evaluate_files import AFTER_TRAINING, Evaluated, curves, figures, trust_told
from orchestration.cli.report import PAGE

#: A file has room for pictures that are sharp on a large screen.
MOST_BYTES = 600_000
_PICTURE = re.compile(r"!\[(.*?)\]\((data:image/png;base64,[A-Za-z0-9+/=]+)\)")


def write_page(path: Path, card: ModelCard, found: Sequence[Evaluated]) -> None:
    """Write the page."""
    title = f"{card.version} ({card.kind}): out of sample"
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in _rows(found)
    )
    body = "".join(_pictures(found))
    path.write_text(PAGE.format(title=html.escape(title), rows=rows, body=body), encoding="utf-8")


def _rows(found: Sequence[Evaluated]) -> Iterator[tuple[str, str]]:
    for one in found:
        shown = figures(one)
        for way in ("walk_forward", "after_training"):
            row = shown[way]
            if row is not None:
                yield (
                    f"{one.symbol}, {way.replace('_', ' ')}",
                    f"Sharpe {row['sharpe']:.2f} ± {row['sharpe_se']:.2f} over {row['bars']:,} bars, "
                    f"return {row['total_return']:+.2%} (held {row['hold_return']:+.2%}), "
                    f"deepest fall {row['max_drawdown']:.2%}, turnover {row['turnover_per_day']:.2f} a day "
                    f"in {row['trades']:,} trades",
                )
        yield f"{one.symbol}, trust", trust_told(shown)
        yield f"{one.symbol}, look-ahead", ", ".join(shown["leaks"]) or one.differs or "no value knew its future"


def _pictures(found: Sequence[Evaluated]) -> Iterator[str]:
    for one in found:
        for way, curve, posteriors in curves(one):
            prices = np.array([one.prices[at] for at in curve.open_ms.tolist()])
            name = f"{one.symbol}, {way}"
            names = one.model.labels if way == AFTER_TRAINING else ()
            for picture in (
                equity_picture(name, curve, MOST_BYTES),
                regime_picture(name, curve.open_ms, prices, posteriors, MOST_BYTES, names),
            ):
                yield _section(picture)
        if one.after is not None and one.after.drift is not None:
            yield _section(drift_picture({one.symbol: one.after.drift}, MOST_BYTES))


def _section(picture: str) -> str:
    return _PICTURE.sub(r'<section><h2>\1</h2><img alt="\1" src="\2"></section>', picture)

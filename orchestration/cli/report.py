"""The demo's report: one HTML file with its pictures inside, readable offline."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REGIME_COLOURS = ("#9fc5a8", "#c9d7f0", "#f0b8ae", "#e8d9a8", "#d3c1e5")
INK, BUY, SELL = "#20303c", "#1a7f37", "#b3261e"


@dataclass(frozen=True, slots=True)
class RegimeRow:
    """The engine's own view at one closed bar; ``posterior`` sums to 1."""

    at_ms: int
    price: float
    regime: int
    posterior: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FillMark:
    """One fill as a point of the price plot."""

    at_ms: int
    price: float
    side: str


@dataclass(frozen=True, slots=True)
class SymbolStory:
    """What happened in one symbol while the demo traded."""

    symbol: str
    bars: Sequence[RegimeRow]
    fills: Sequence[FillMark]
    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that the page shows. ``equity`` and ``buy_and_hold`` are sampled at the same ``equity_at_ms``."""

    title: str
    figures: Mapping[str, str]
    stories: Sequence[SymbolStory]
    equity_at_ms: Sequence[int]
    equity: Sequence[float]
    buy_and_hold: Sequence[float]
    rejected: Mapping[str, int]
    limits: Mapping[str, str] = field(default_factory=dict)


def render(data: ReportData) -> str:
    """Return the whole page as HTML text."""
    pictures = [
        ("Equity against buy-and-hold", _equity_figure(data)),
        ("Rails", _rails_figure(data)),
        *((f"{story.symbol}: price by regime, fills, posterior", _symbol_figure(story)) for story in data.stories),
    ]
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in data.figures.items()
    )
    body = "".join(
        f'<section><h2>{html.escape(title)}</h2><img alt="{html.escape(title)}" src="{png(figure)}"></section>'
        for title, figure in pictures
    )
    return PAGE.format(title=html.escape(data.title), rows=rows, body=body)


def _equity_figure(data: ReportData) -> Figure:
    figure, axes = new_figure(height=3.0)
    if data.equity:
        at = _seconds(data.equity_at_ms)
        axes.plot(at, _change(data.equity), color=INK, label="this run")
        axes.plot(at, _change(data.buy_and_hold), color="#7a8b99", linestyle="--", label="buy and hold")
        axes.legend(frameon=False)
    axes.set_ylabel("change, USDT")
    axes.set_xlabel("seconds since trading began")
    return figure


def _rails_figure(data: ReportData) -> Figure:
    figure, axes = new_figure(height=2.4)
    if data.rejected:
        codes = sorted(data.rejected, key=lambda code: data.rejected[code])
        axes.barh(codes, [data.rejected[code] for code in codes], color="#c98b2b")
        axes.set_xlabel("orders refused")
    else:
        axes.text(0.5, 0.5, "no order was refused", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
    return figure


def _symbol_figure(story: SymbolStory) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415  # plotting costs a second; only the report needs it

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    price, posterior = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
    for axes in (price, posterior):
        _tidy(axes)
    if not story.bars:
        return figure
    at = _seconds([row.at_ms for row in story.bars])
    start = story.bars[0].at_ms
    _shade_regimes(price, story, at)
    price.plot(at, [row.price for row in story.bars], color=INK, linewidth=1.2)
    for side, marker, colour in (("BUY", "^", BUY), ("SELL", "v", SELL)):
        points = [fill for fill in story.fills if fill.side == side and fill.at_ms >= start]
        price.scatter(
            [(fill.at_ms - start) / 1000 for fill in points],
            [fill.price for fill in points],
            marker=marker, color=colour, s=46, zorder=3, label=f"{side.lower()} fill",
        )  # fmt: skip
    price.set_ylabel("price")
    price.legend(frameon=False, loc="upper left", ncols=4, fontsize=8)
    shares = np.array([row.posterior for row in story.bars]).T
    posterior.stackplot(at, shares, colors=REGIME_COLOURS[: len(shares)], labels=story.labels)
    posterior.set_ylim(0, 1)
    posterior.set_ylabel("posterior")
    posterior.set_xlabel("seconds since the first live bar")
    posterior.legend(frameon=False, loc="upper left", ncols=len(shares), fontsize=8)
    return figure


def _shade_regimes(axes: Axes, story: SymbolStory, at: Sequence[float]) -> None:
    begin = 0
    for index in range(1, len(story.bars) + 1):
        changed = index == len(story.bars) or story.bars[index].regime != story.bars[begin].regime
        if changed:
            colour = REGIME_COLOURS[story.bars[begin].regime % len(REGIME_COLOURS)]
            axes.axvspan(at[begin], at[min(index, len(at) - 1)], color=colour, alpha=0.55, linewidth=0)
            begin = index


def new_figure(height: float) -> tuple[Figure, Axes]:
    """Return a picture of the page's width, ``height`` in inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(10, height), layout="constrained")
    axes = figure.subplots()
    _tidy(axes)
    return figure, axes


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color="#e4e8ec", linewidth=0.6)


def _seconds(at_ms: Sequence[int]) -> list[float]:
    return [(at - at_ms[0]) / 1000 for at in at_ms]


def _change(values: Sequence[float]) -> list[float]:
    return [value - values[0] for value in values]


def png(figure: Figure) -> str:
    """Return a picture as a data address, to be put into a page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


#: The frame of every report: ``title``, table ``rows`` and ``body``.
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
 body {{ font: 16px/1.5 sans-serif; color: #20303c; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }}
 h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.05rem; margin: 2rem 0 .4rem; }}
 table {{ border-collapse: collapse; }} th {{ text-align: left; font-weight: 600; padding-right: 2rem; }}
 th, td {{ border-bottom: 1px solid #e4e8ec; padding-top: .25rem; padding-bottom: .25rem; }}
 td {{ font-variant-numeric: tabular-nums; }} img {{ width: 100%; height: auto; }}
</style></head><body><h1>{title}</h1><table>{rows}</table>{body}</body></html>
"""

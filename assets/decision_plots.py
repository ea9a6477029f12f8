"""Pictures of the decision rules' pages, in the manner of ``plots.py``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.plots import COLOURS, GREY, INK, MAX_BYTES, as_markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
#: More lines than this cannot be read in a page.
MOST_NAMES = 40


def ranked_picture(
    title: str, values: Mapping[str, float], unit: str, errors: Mapping[str, float] | None = None
) -> str:
    """Return Markdown with one dot per name, highest first, and its error where one is known."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # a second to load, and only plots need it

    best = sorted(values, key=lambda name: (-values[name], name))
    names = best if len(best) <= MOST_NAMES else [*best[: MOST_NAMES // 2], *best[-MOST_NAMES // 2 :]]
    upwards = names[::-1]
    figure = Figure(figsize=(8.5, 0.9 + 0.24 * max(2, len(names))), layout="constrained")
    axes = figure.subplots()
    bars = None if errors is None else [errors.get(name, 0.0) for name in upwards]
    axes.errorbar(
        [values[name] for name in upwards], upwards, xerr=bars, fmt="o", color=INK, ecolor=GREY, capsize=3, markersize=4
    )
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.set_xlabel(unit, fontsize=8)
    axes.set_title(title, fontsize=9, loc="left")
    return _as_markdown(figure, axes, title)


def scatter_picture(title: str, points: Mapping[str, tuple[Array, Array]], across: str, up: str) -> str:
    """Return Markdown with points by group, each group a pair of arrays (N,)."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    axes = figure.subplots()
    for colour, (name, (x, y)) in zip(COLOURS * len(points), points.items(), strict=False):
        axes.scatter(x, y, s=9, color=colour, label=name)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    axes.set_title(title, fontsize=9, loc="left")
    axes.legend(frameon=False, fontsize=7)
    return _as_markdown(figure, axes, title)


def _as_markdown(figure: "Figure", axes: "Axes", alt: str) -> str:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    return as_markdown(figure, alt, MAX_BYTES)

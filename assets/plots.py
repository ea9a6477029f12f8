"""Pictures for the assets' pages: small PNGs inside Markdown, drawn without a display."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.scoring import Curve
from strategies.league import Standing
from strategies.research.after_training import DriftSince

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

#: Larger pictures do not belong in Dagster's event database.
MAX_BYTES = 70_000
#: Dots per inch: the sharpest that fits is taken, and a page of its own has room for more.
SHARP_DPI, ROW_DPI = 130, (100, 80, 65, 50, 40, 30, 22)
POINTS = 600
PALETTE = 64
COLOURS = ("#8fbf9f", "#9db8e8", "#eaa79b", "#e3cf8a", "#c9b3ea", "#a8d5d1", "#d9b48f", "#b7b7b7")
INK, GREY = "#20303c", "#8795a1"


def regime_picture(
    symbol: str,
    open_ms: NDArray[np.int64],
    price: Array,
    posteriors: Array,
    most: int = MAX_BYTES,
    names: Sequence[str] = (),
) -> str:
    """Return Markdown with the price coloured by the likeliest regime, and the filtered posterior below.

    Args:
        open_ms: bar opens, shape (T,), UTC ms.
        price: closes, shape (T,), quote units.
        posteriors: filtered, shape (T, K).
        most: bytes of Markdown; a page of its own has room for more than ``MAX_BYTES``.
        names: of the regimes, K; of a walk there are none, as every fold has a model of its own.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # a second to load, and only plots need it

    figure = Figure(figsize=(8.5, 4.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    keep = _thinned(len(open_ms))
    at, shares = _times(open_ms)[keep], posteriors[keep]
    above.plot(at, price[keep], color=GREY, linewidth=0.6)
    regimes = shares.argmax(axis=1)
    for regime in range(shares.shape[1]):
        here = regimes == regime
        above.scatter(
            at[here],
            price[keep][here],
            s=5,
            color=COLOURS[regime],
            label=names[regime] if names else f"regime {regime}",
        )
    above.set_title(f"{symbol}: price by filtered regime, out of sample", fontsize=9, loc="left")
    above.legend(frameon=False, fontsize=7, ncols=shares.shape[1], markerscale=3)
    below.stackplot(at, shares.T, colors=COLOURS[: shares.shape[1]])
    below.set_ylim(0, 1)
    below.set_ylabel("posterior", fontsize=8)
    above.set_ylabel("price, quote units", fontsize=8)
    _dated(below)
    return _markdown(figure, [above, below], f"regimes of {symbol}", most)


def equity_picture(title: str, curve: Curve, most: int = MAX_BYTES) -> str:
    """Return Markdown with the equity of the strategy against buy-and-hold, both from 1, net of costs."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(8.5, 3.0), layout="constrained")
    axes = figure.subplots()
    keep = _thinned(len(curve.open_ms))
    at = _times(curve.open_ms)[keep]
    axes.plot(at, np.cumprod(1 + curve.returns)[keep], color=INK, linewidth=1.2, label="regime policy, net")
    axes.plot(
        at,
        np.cumprod(1 + curve.hold_returns)[keep],
        color=GREY,
        linewidth=1.0,
        linestyle="--",
        label="buy and hold",
    )
    axes.set_title(f"{title}: equity, out of sample", fontsize=9, loc="left")
    axes.legend(frameon=False, fontsize=8)
    axes.set_ylabel("equity, 1 at the start", fontsize=8)
    _dated(axes)
    return _markdown(figure, [axes], f"equity of {title}", most)


def calibration_picture(steps: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Return Markdown with how often a confidence was right, by symbol: edges (N-1,) and values (N,) of the steps."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--", label="as it says")
    for colour, (symbol, (edges, values)) in zip(COLOURS * len(steps), steps.items(), strict=False):
        axes.stairs(values, [0.0, *edges, max([1.0, *edges])], color=colour, baseline=None, linewidth=1.4, label=symbol)
    axes.set_xlim(0.3, 1)
    axes.set_ylim(0.3, 1)
    axes.set_xlabel("share of the likeliest regime", fontsize=8)
    axes.set_ylabel("share that was right", fontsize=8)
    axes.set_title("what confidence is worth, on held-out bars", fontsize=9, loc="left")
    if len(steps) <= len(COLOURS):
        axes.legend(frameon=False, fontsize=7)
    return _markdown(figure, [axes], "calibration")


def bars_picture(days: Sequence[str], counts: Sequence[int], expected: Sequence[int]) -> str:
    """Return Markdown with stored against expected bars by day."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(8.5, 2.4), layout="constrained")
    axes = figure.subplots()
    axes.bar(days, expected, color="#e4e8ec", label="expected")
    axes.bar(days, counts, color=COLOURS[1], width=0.5, label="stored")
    axes.set_ylabel("bars", fontsize=8)
    axes.set_title("bars by day", fontsize=9, loc="left")
    axes.legend(frameon=False, fontsize=8)
    axes.tick_params(axis="x", rotation=30 if len(days) > 6 else 0)
    return _markdown(figure, [axes], "bars by day")


def league_picture(ranked: Sequence[Standing]) -> str:
    """Return Markdown with the Sharpe ratio per bar of each version, best first, and two standard errors."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(8.5, 1.1 + 0.35 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    upwards = ranked[::-1]
    axes.errorbar(
        [row.sharpe for row in upwards],
        [row.version for row in upwards],
        xerr=[2 * row.sharpe_se for row in upwards],
        fmt="o",
        color=INK,
        ecolor=GREY,
        capsize=3,
    )
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.set_xlabel("Sharpe ratio per bar", fontsize=8)
    axes.set_title(
        "unfunded on the live bars that all were judged on, net of costs, with two standard errors",
        fontsize=9,
        loc="left",
    )
    return _markdown(figure, [axes], "shadow league")


def drift_picture(found: Mapping[str, DriftSince], most: int = MAX_BYTES) -> str:
    """Return Markdown with each symbol's sum of worsening since its training, as a share of what rings the alarm."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    axes = figure.subplots()
    for colour, (symbol, one) in zip(COLOURS * len(found), found.items(), strict=False):
        keep = _peaks(one.sums)
        share = (one.sums / one.threshold)[keep]
        axes.plot(_times(one.open_ms)[keep], share, color=colour, linewidth=1.2, label=symbol)
    axes.axhline(1.0, color=INK, linewidth=0.8, linestyle="--", label="alarm")
    axes.set_title("how much worse than in training bars are foretold, added up (CUSUM)", fontsize=9, loc="left")
    axes.set_ylabel("share of the alarm", fontsize=8)
    _dated(axes)
    if len(found) <= len(COLOURS):
        axes.legend(frameon=False, fontsize=7)
    return _markdown(figure, [axes], f"drift of {', '.join(found)}" if len(found) == 1 else "drift", most)


def parity_picture(causes: Mapping[str, float]) -> str:
    """Return Markdown with what each cause of the gap between live and backtest is worth, in quote units."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # as above

    figure = Figure(figsize=(8.5, 0.9 + 0.3 * len(causes)), layout="constrained")
    axes = figure.subplots()
    upwards = list(causes)[::-1]
    worth = [causes[name] for name in upwards]
    axes.barh(upwards, worth, color=[COLOURS[0] if value >= 0 else COLOURS[2] for value in worth])
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.set_xlabel("quote units", fontsize=8)
    axes.set_title("live minus backtest, by cause", fontsize=9, loc="left")
    return _markdown(figure, [axes], "parity")


def _thinned(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).astype(np.int64))


def _peaks(values: Array) -> NDArray[np.int64]:
    """Return the places of the highest value of each of ``POINTS`` stretches: what rang an alarm is to be seen."""
    parts = np.array_split(np.arange(len(values)), min(len(values), POINTS))
    return np.array([part[values[part].argmax()] for part in parts], dtype=np.int64)


def _times(open_ms: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return open_ms.astype("datetime64[ms]")


def _dated(axes: "Axes") -> None:
    """Write times below an axis as short as they can be told apart; the day stands at its end."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415  # as above

    locator = AutoDateLocator(maxticks=9)  # type: ignore[no-untyped-call]  # untyped library
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    axes.xaxis.get_offset_text().set_fontsize(7)
    axes.set_xlabel("UTC", fontsize=8)


def _markdown(figure: "Figure", axes: Sequence["Axes"], alt: str, most: int = MAX_BYTES) -> str:
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=7)
    return as_markdown(figure, alt, most, (SHARP_DPI, *ROW_DPI) if most > MAX_BYTES else ROW_DPI)


def as_markdown(figure: "Figure", alt: str, most: int, resolutions: Sequence[int] = ROW_DPI) -> str:
    """Return a figure as a PNG in Markdown, at the first of the resolutions (dots per inch) that fits into ``most``."""
    from PIL import Image  # noqa: PLC0415  # comes with matplotlib, and only plots need it

    for dpi in resolutions:
        drawn, written = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="png", dpi=dpi)
        # A plot has few colours: a palette makes a third of it, which leaves room for letters that can be read.
        with Image.open(drawn) as image:
            image.convert("RGB").quantize(PALETTE).save(written, format="png", optimize=True)
        encoded = base64.b64encode(written.getvalue()).decode("ascii")
        if len(encoded) <= most:
            break
    return f"![{alt}](data:image/png;base64,{encoded})"

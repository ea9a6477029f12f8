"""The page of a backtest: figures and pictures in one HTML file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestration.cli.backtest_run import QUOTE, Done, RunOptions
from orchestration.cli.report import BUY, INK, PAGE, SELL, new_figure, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A picture has no more points than it has pixels; the extremes between them are kept.
POINTS = 2000
#: More fills than this are drawn small: large marks would hide the price.
MOST_LARGE_MARKS = 300
AMOUNT = "{x:,.9g}"
MAX_SYMBOLS = 12
SHOWN = {
    "bars": "bars",
    "orders": "orders",
    "fills": "fills",
    "realised_pnl": f"realised before fees, {QUOTE}",
    "fees": f"fees, {QUOTE}",
    "funding": f"funding paid, {QUOTE}",
    "equity_final": f"equity at the end, {QUOTE}",
}


def write(path: Path, options: RunOptions, done: Done) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(options, done), encoding="utf-8")


def render(options: RunOptions, done: Done) -> str:
    """Return the whole page as HTML text."""
    title = f"Backtest of {options.strategy} on {', '.join(done.names.values())}"
    equity = "Equity" if _held_quantity(options, done) is None else "Equity against holding the same quantity"
    pictures = [
        (equity, _equity(options, done)),
        ("Fall from the peak", _falls(done)),
    ]
    pictures += [
        (f"{done.names[symbol]}: price and fills", _fills(done, symbol)) for symbol in list(done.series)[:MAX_SYMBOLS]
    ]
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in _rows(options, done)
    )
    body = "".join(
        f'<section><h2>{html.escape(name)}</h2><img alt="{html.escape(name)}" src="{png(figure)}"></section>'
        for name, figure in pictures
    )
    return PAGE.format(title=html.escape(title), rows=rows, body=body)


def _rows(options: RunOptions, done: Done) -> list[tuple[str, str]]:
    figures = done.figures
    times = done.traded.times
    settings = ", ".join(f"{name}={value}" for name, value in options.settings.items()) or "as they are"
    rows = [
        ("span", f"{_day(times[0])} to {_day(times[-1])} UTC"),
        ("settings", settings),
        ("fills at", f"the {options.fill_at}, fee {options.fee_bps} bps, {options.half_spread_bps} bps lost a side"),
        *((text, str(figures[name])) for name, text in SHOWN.items()),
        ("Sharpe ratio, annual, with its standard error", f"{figures['sharpe']:.2f} ± {figures['sharpe_se']:.2f}"),
        ("deepest fall from a peak", f"{figures['max_drawdown']:.2%}"),
        ("turnover, notional over mean equity", f"{figures['turnover']:.2f}"),
        ("mean exposure", f"{figures['exposure']:.1%}"),
    ]
    rows += [(f"refused: {code}", str(count)) for code, count in sorted(figures["refused"].items())]
    return rows + [("note", note) for note in done.notes]


def _held_quantity(options: RunOptions, done: Done) -> Decimal | None:
    """Return the one quantity of the one symbol that could have been held throughout."""
    return options.quantity if len(done.series) == 1 else None


def _equity(options: RunOptions, done: Done) -> Figure:
    figure, axes = new_figure(height=3.2)
    times, equity = done.traded.times, done.traded.equity
    kept = _kept(equity)
    axes.plot(_dates(times[kept]), equity[kept], color=INK, linewidth=1.0, label=options.strategy)
    quantity = _held_quantity(options, done)
    if quantity is not None:
        close = next(iter(done.series.values())).close
        held = float(options.cash) + float(quantity) * (close - close[0])
        kept = _kept(held)
        axes.plot(
            _dates(times[kept]), held[kept], color="#7a8b99", linestyle="--", linewidth=1.0, label="held throughout"
        )
    axes.set_ylabel(f"equity, {QUOTE}")
    # As amounts of money, and not as distances from one that stands in a corner.
    axes.yaxis.set_major_formatter(AMOUNT)
    axes.legend(frameon=False)
    return figure


def _falls(done: Done) -> Figure:
    figure, axes = new_figure(height=2.2)
    equity = done.traded.equity
    fall = (equity / np.maximum.accumulate(equity) - 1.0) * 100.0
    kept = _kept(fall)
    axes.fill_between(_dates(done.traded.times[kept]), fall[kept], color=SELL, alpha=0.4, linewidth=0)
    axes.set_ylabel("below the peak, %")
    return figure


def _fills(done: Done, symbol: str) -> Figure:
    figure, axes = new_figure(height=3.2)
    columns = done.series[symbol]
    kept = _kept(columns.close)
    axes.plot(_dates(columns.close_at[kept]), columns.close[kept], color=INK, linewidth=0.8)
    rows = [row for row in done.traded.fill_rows() if row.symbol == symbol]
    size = 14 if len(rows) <= MOST_LARGE_MARKS else 3
    for side, marker, colour in (("BUY", "^", BUY), ("SELL", "v", SELL)):
        own = [row for row in rows if row.side == side]
        at = _dates(np.array([row.at_ms for row in own], dtype=np.int64))
        axes.scatter(
            at, [float(row.price) for row in own], marker=marker, color=colour, s=size, zorder=3, label=side.lower()
        )
    axes.set_ylabel(f"price, {QUOTE}")
    axes.yaxis.set_major_formatter(AMOUNT)
    axes.legend(frameon=False, ncols=2, loc="upper left", markerscale=(14 / size) ** 0.5)
    return figure


def _kept(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which points to draw: of each stretch the lowest and the highest, in their order."""
    count = len(values)
    if count <= POINTS:
        return np.arange(count)
    edges = np.linspace(0, count, POINTS // 2 + 1).astype(np.int64)
    kept = {0, count - 1}
    for begin, end in pairwise(edges.tolist()):
        part = values[begin:end]
        kept |= {begin + int(part.argmin()), begin + int(part.argmax())}
    return np.array(sorted(kept), dtype=np.int64)


def _dates(times: NDArray[np.int64]) -> Sequence[Any]:
    return times.astype("datetime64[ms]")  # type: ignore[return-value]  # matplotlib takes an array of dates as it is


def _day(at_ms: np.int64) -> str:
    return datetime.fromtimestamp(int(at_ms) / 1000, UTC).strftime("%Y-%m-%d %H:%M")

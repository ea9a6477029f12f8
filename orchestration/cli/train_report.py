"""What ``nhmm train --bars`` shows a person: progress while it fits, then each symbol's regimes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from strategies.regimes.bar_table import BarTable
from strategies.regimes.fit import FitReport
from strategies.regimes.hierarchy import AnyModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One symbol's model or why there is none."""

    symbol: str
    table: BarTable | None = None
    counts: dict[str, int] | None = None
    model: AnyModel | None = None
    report: FitReport | None = None
    refused: str = ""


#: Columns of a table that goes to a file: no cell of ours is cut there.
FILE_WIDTH = 150


def table_console() -> Console:
    """Return the console for progress and tables on the error output, wide where that is no terminal."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else Console(stderr=True, highlight=False, width=FILE_WIDTH)


@contextmanager
def progress(console: Console, doing: str = "training") -> Iterator[Callable[[Sequence[str]], Iterable[str]]]:
    """Give a function that passes symbols on and shows which one is worked on and how many are done."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:

        def tell(symbols: Sequence[str]) -> Iterator[str]:
            task = bar.add_task(doing, total=len(symbols))
            for symbol in symbols:
                # One symbol takes a while, and the bar moves once it is done: the name says what is being done.
                bar.update(task, description=f"{doing} {symbol}")
                yield symbol
                bar.advance(task)

        yield tell


def print_report(console: Console, made: Sequence[Trained], result: dict[str, Any]) -> None:
    """Print a table of each symbol's regimes, what was left out, and where the model is."""
    for fit in made:
        if fit.model is None or fit.report is None:
            continue
        shown = result["symbols"][fit.symbol]
        names = ("regime", "name", "return bps/bar", "volatility bps", "occupancy", "dwell bars", "exposure")
        table = Table(*names, title=fit.symbol)
        pays = np.asarray(fit.model.expected_return), np.asarray(fit.model.volatility)
        for number, label in enumerate(fit.model.labels):
            table.add_row(
                str(number),
                label,
                f"{pays[0][number] * 1e4:.2f}",
                f"{pays[1][number] * 1e4:.1f}",
                f"{fit.report.occupancy[number]:.1%}",
                f"{fit.report.dwell_bars[number]:.1f}",
                f"{shown['exposures'][number]:+.2f}",
            )
        console.print(table)
        agreement = shown.get("refit_agreement")
        told = "-" if agreement is None else f"{agreement:.2f}"
        console.print(
            f"{shown['bars']} bars, {shown['from']} to {shown['to']}; converged: {bool(shown['converged'])}; "
            f"two refits agree by {told} (adjusted Rand); left out or odd: {shown['dropped'] or 'nothing'}"
        )
        if result["previous"]:
            kept = "continues those of" if shown["keeps_order"] else "is its own, the symbol is not in"
            console.print(f"the order of regimes {kept} {result['previous']}")
        if chosen := _choice(shown["tried"]):
            console.print(chosen)
        if not any(shown["exposures"]):
            console.print(
                "No regime's mean return pays its costs and is told from zero: by this model nothing is traded."
            )
    for symbol, reason in result["refused"].items():
        console.print(f"[bold]{symbol}[/bold] was refused: {reason}")
    console.print(f"model {result['version']} ({result['kind']}) is in {result['out']}; {result['seconds']} s")


def _choice(tried: Sequence[dict[str, float | None]]) -> str:
    """Say which numbers of regimes were tried and how they did; empty where there was no choice."""
    if len(tried) < 2 or any(row.get("bic") is None for row in tried):
        return ""
    told = [
        f"{row['regimes']:.0f} (BIC {row['bic']:,.0f}{'' if row['stable'] else ', floors not kept'})" for row in tried
    ]
    return f"numbers of regimes tried: {', '.join(told)}"

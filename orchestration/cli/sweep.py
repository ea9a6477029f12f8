"""``nhmm sweep``: every setting of a grid traded on the fast path, every trial counted, the best judged unseen."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.cli.backtest import FillAt, MarketKind, amount, pairs
from orchestration.cli.layout import Exit, Refused
from orchestration.cli.trial_file import count_trials, deflated, scope_of

if TYPE_CHECKING:
    from engine_service.backtest.options import Traded
    from engine_service.backtest.series import BarSeries
    from orchestration.cli.backtest_run import RunOptions
    from strategies.research.metrics import SharpeEstimate

#: A grid larger than this says more about its author than about the market.
MOST_TRIALS = 100_000
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of the grid, and what it earned in sample."""

    settings: Mapping[str, str]
    estimate: SharpeEstimate
    scale: float
    figures: Mapping[str, Any]


def sweep(
    bars: Annotated[Path, typer.Option("--bars", help="Parquet: symbol, ts (open, UTC ms), open, ..., volume.")],
    grid: Annotated[list[str], typer.Option("--grid", help="A setting's values: fast=5:15, slow=20:60:5 or fast=5,9.")],
    strategy: Annotated[str, typer.Option("--strategy", help="One with whole targets: ma_cross.")] = "ma_cross",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting that stays, e.g. slow=30.")] = None,
    symbols: Annotated[str, typer.Option("--symbols", help="Comma-separated; all of the file without.")] = "",
    first: Annotated[str | None, typer.Option("--from", help="First bar, ISO time (UTC).")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Exclusive end, ISO time (UTC).")] = None,
    quantity: Annotated[str, typer.Option("--quantity", help="Base units at full size.")] = "1",
    cash: Annotated[str, typer.Option("--cash", help="Opening balance in USDT.")] = "1000000",
    fee_bps: Annotated[str, typer.Option("--fee-bps", help="Of the notional, every fill.")] = "5",
    spread_bps: Annotated[str, typer.Option("--spread-bps", help="Between bid and ask.")] = "0",
    fill: Annotated[FillAt, typer.Option("--fill", help="At the signal bar's close, or the next open.")] = FillAt.OPEN,
    long_only: Annotated[bool, typer.Option("--long-only", help="A short wish means flat.")] = False,
    market: Annotated[MarketKind, typer.Option("--market", help="Spot cannot go short.")] = MarketKind.FUTURES,
    train_share: Annotated[
        float, typer.Option("--train-share", min=0.1, max=0.9, help="Share of the bars that the choice is made on.")
    ] = 0.7,
    trials: Annotated[
        Path | None, typer.Option("--trials", help="JSON lines of all trials so far: counted as well, and added to.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on the last line.")] = False,
) -> None:
    """Try every setting of a grid, count every trial, and judge the best on bars that it has not seen."""
    from orchestration.cli import backtest_run  # noqa: PLC0415  # loads numbers and tables only when asked

    options = backtest_run.RunOptions(
        bars=bars,
        strategy=strategy,
        settings=pairs(settings or [], "--set"),
        model=None,
        symbols=tuple(name.strip() for name in symbols.split(",") if name.strip()),
        first=first,
        last=last,
        quantity=amount(quantity, "--quantity"),
        notional=None,
        cash=amount(cash, "--cash"),
        fee_bps=amount(fee_bps, "--fee-bps", zero=True),
        half_spread_bps=amount(spread_bps, "--spread-bps", zero=True) / 2,
        funding=None,
        fill_at=fill.value,
        long_only=long_only,
        market=market.value,
        limits={},
        vector=True,
    )
    result = run(options, points(grid), train_share, trials)
    _show(result)
    if as_json:
        print(json.dumps(result), flush=True)


def points(grid: Sequence[str]) -> list[dict[str, str]]:
    """Return every combination of a grid's values, e.g. of ``fast=5:15`` and ``slow=20:60:5``; both ends belong.

    Raises:
        Refused: a word is not written like that, or there are too many combinations.
    """
    axes = {name: _values(name, text) for name, text in pairs(list(grid), "--grid").items()}
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST_TRIALS:
        raise Refused(f"--grid: {count:,} trials, at most {MOST_TRIALS:,}", Exit.USAGE)
    return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())]


def _values(name: str, text: str) -> list[str]:
    if ":" not in text:
        return [value.strip() for value in text.split(",")]
    try:
        first, last, step = (Decimal(part) for part in (*text.split(":"), "1")[:3])
    except (InvalidOperation, ValueError):
        raise Refused(f"--grid {name}={text}: write first:last or first:last:step", Exit.USAGE) from None
    if not (first <= last and step > 0) or text.count(":") > 2:
        raise Refused(f"--grid {name}={text}: first is at most last, the step above 0", Exit.USAGE)
    if (last - first) / step >= MOST_TRIALS:
        raise Refused(f"--grid {name}={text}: more than {MOST_TRIALS:,} values", Exit.USAGE)
    return [format(first + step * at, "f") for at in range(int((last - first) / step) + 1)]


def run(
    options: RunOptions, grid: Sequence[Mapping[str, str]], train_share: float, record: Path | None = None
) -> dict[str, Any]:
    """Trade every point on the first bars, and the best one on the rest; ``record`` holds the trials made before.

    Raises:
        Refused: no point of the grid can be traded, or the bars cannot.
    """
    from engine_service.backtest.series import BadBars  # noqa: PLC0415  # as above
    from engine_service.backtest.vector_path import EventPathNeeded, FundsShort  # noqa: PLC0415  # as above
    from orchestration.cli.backtest_run import load  # noqa: PLC0415  # as above
    from strategies.research.catalogue import UnknownSetting  # noqa: PLC0415  # as above

    began = time.perf_counter()
    try:
        series, names = load(options)
        seen = {symbol: _part(each, slice(0, int(len(each) * train_share))) for symbol, each in series.items()}
        unseen = {symbol: _part(each, slice(int(len(each) * train_share), None)) for symbol, each in series.items()}
        trials, impossible, short = _trials(options, grid, seen)
        best = max(trials, key=lambda trial: trial.estimate.per_bar)
        # Recorded before anything else can be refused: a trial that was made counts.
        made = [({**options.settings, **trial.settings}, trial.estimate.per_bar) for trial in trials]
        earlier = count_trials(record, scope_of(options, seen), made) if record else []
        judged = _trade(options, {**options.settings, **best.settings}, unseen)
    except BadBars as error:
        raise Refused(str(error), Exit.CONFIGURATION) from error
    except FundsShort as error:
        raise Refused(f"FUNDS_SHORT: {error}", Exit.CONFIGURATION) from error
    except EventPathNeeded as error:
        raise Refused(f"EVENT_PATH_NEEDED: {error}", Exit.USAGE) from error
    except UnknownSetting as error:
        raise Refused(f"STRATEGY_INVALID: {error}", Exit.USAGE) from error
    ranked = sorted(trials, key=lambda trial: trial.estimate.per_bar, reverse=True)
    return {
        "symbols": list(names.values()),
        "trials": len(trials),
        "impossible": len(impossible),
        "short_of_funds": len(short),
        **deflated(best.estimate, best.scale, [*(ratio for _, ratio in made), *earlier]),
        "best": _row(best),
        "unseen": _of(judged),
        "ranked": [_row(trial) for trial in ranked[:SHOWN]],
        "seconds": round(time.perf_counter() - began, 3),
    }


def _part(series: BarSeries, rows: slice) -> BarSeries:
    columns = ("open_at", "close_at", "open", "high", "low", "close", "volume")
    return replace(series, **{name: getattr(series, name)[rows] for name in columns})


def _trials(
    options: RunOptions, grid: Sequence[Mapping[str, str]], series: Mapping[str, BarSeries]
) -> tuple[list[Trial], list[str], list[str]]:
    """Return the trials, and why a point was none: settings that cannot be, or orders that could not be paid for."""
    from engine_service.backtest.figures import sharpe_of  # noqa: PLC0415  # as above
    from engine_service.backtest.vector_path import FundsShort  # noqa: PLC0415  # as above
    from strategies.research.catalogue import UnknownSetting  # noqa: PLC0415  # as above

    trials: list[Trial] = []
    impossible: list[str] = []
    short: list[str] = []
    for point in _tracked(grid):
        try:
            traded = _trade(options, {**options.settings, **point}, series)
        except UnknownSetting as error:
            # A grid has corners that are none, such as a fast window above the slow one.
            impossible.append(str(error))
            continue
        except FundsShort as error:
            short.append(f"{', '.join(f'{name}={value}' for name, value in point.items())}: {error}")
            continue
        trials.append(Trial(point, *sharpe_of(traded), _of(traded)))
    if not trials and short:
        raise FundsShort(short[0])
    if not trials:
        raise UnknownSetting(impossible[0])
    return trials, impossible, short


def _trade(options: RunOptions, settings: Mapping[str, str], series: Mapping[str, BarSeries]) -> Traded:
    from engine_service.backtest.vector_path import trade_crossings  # noqa: PLC0415  # as above
    from orchestration.cli.backtest_run import backtest_options  # noqa: PLC0415  # as above
    from strategies.research.catalogue import StrategyChoice  # noqa: PLC0415  # as above

    choice = StrategyChoice(name=options.strategy, settings=settings)
    for symbol in series:
        choice.make(symbol)
    return trade_crossings(series, choice, backtest_options(options))


def _row(trial: Trial) -> dict[str, Any]:
    return {"settings": dict(trial.settings), **trial.figures}


def _of(traded: Traded) -> dict[str, Any]:
    from engine_service.backtest.figures import figures_of  # noqa: PLC0415  # as above

    names = ("bars", "fills", "fees", "equity_final", "sharpe", "sharpe_se", "max_drawdown", "turnover")
    figures = figures_of(traded)
    return {name: figures[name] for name in names}


def _tracked(grid: Sequence[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
    from rich.console import Console  # noqa: PLC0415  # as above
    from rich.progress import track  # noqa: PLC0415  # as above

    yield from track(grid, description="trials", transient=True, console=Console(stderr=True))


def _show(result: Mapping[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415  # as above
    from rich.table import Table  # noqa: PLC0415  # as above

    table = Table("settings", "fills", "Sharpe", "drawdown", "equity")
    for row in (*result["ranked"], {"settings": {"the best": "on unseen bars"}, **result["unseen"]}):
        said = ", ".join(f"{name} {value}" for name, value in row["settings"].items())
        sharpe = f"{row['sharpe']:.2f} ± {row['sharpe_se']:.2f}"
        table.add_row(said, str(row["fills"]), sharpe, f"{row['max_drawdown']:.1%}", row["equity_final"])
    console = Console(stderr=True, highlight=False)
    console.print(table)
    if result["short_of_funds"]:
        console.print(f"FUNDS_SHORT: {result['short_of_funds']} settings could not pay for an order and have no rank.")
    console.print(
        f"{result['trials']} trials, {result['trials_counted']} with those recorded. The best of so many worthless "
        f"ones would show a Sharpe ratio of {result['expected_best_sharpe']:.2f}; that this one is above zero is "
        f"{result['deflated_sharpe']:.0%} sure."
    )

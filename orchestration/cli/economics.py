"""``nhmm economics``: what regimes are worth on recorded bars, after costs, beside what needs no model."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.cli.layout import Exit, Refused

if TYPE_CHECKING:
    from strategies.regimes.bar_table import BarTable
    from strategies.research.economics import Judged

YEAR_MS = 365 * 86_400_000
ALL = "ALL"


def economics(
    bars: Annotated[Path, typer.Option("--bars", exists=True, dir_okay=False, help="Parquet file of bars.")],
    symbol: Annotated[list[str] | None, typer.Option(help="Symbol, again for more (all).")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First open, ISO time or ms.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="End, exclusive, ISO time or ms.")] = None,
    cost_bps: Annotated[float, typer.Option(min=0, max=1000, help="Cost per unit of turnover.")] = 10.0,
    folds: Annotated[int, typer.Option(min=1, max=50, help="Walk-forward folds.")] = 4,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    two_level: Annotated[
        bool, typer.Option("--two-level", help="The two-level model as well, which takes longer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on the last line.")] = False,
) -> None:
    """Walk both kinds of regime model forward, net of costs, against holding, volatility targeting and a crossover."""
    from joblib import Parallel, delayed  # noqa: PLC0415  # only when asked
    from rich.progress import track  # noqa: PLC0415  # as above

    from orchestration.cli.bar_files import parse_time, read_bars, table_of  # noqa: PLC0415  # as above
    from strategies.regimes.options import FitRefused  # noqa: PLC0415  # as above

    began = time.perf_counter()
    frame = read_bars(bars, tuple(symbol or ()), parse_time(first, "--from"), parse_time(last, "--to"))
    tables: dict[str, BarTable] = {}
    refused: dict[str, str] = {}
    for (name,), part in frame.partition_by("symbol", as_dict=True, maintain_order=True).items():
        try:
            tables[str(name)] = table_of(part, drop_dead_tail=True)[0]
        except FitRefused as error:
            refused[str(name)] = str(error)
    if len({table.bar_ms for table in tables.values()}) > 1:
        raise Refused("BARS_INTERVAL: the symbols' bars differ in length; judge them apart", Exit.USAGE)
    work = (delayed(judge_table)(name, table, cost_bps, folds, two_level) for name, table in tables.items())
    answers = Parallel(n_jobs=jobs, return_as="generator")(work)
    found: dict[str, Sequence[Judged]] = {}
    for name, judged, reasons in track(answers, description="judging", total=len(tables), transient=True):
        refused |= reasons
        if judged:
            found[name] = judged
    if not found:
        raise Refused("; ".join(f"{name}: {reason}" for name, reason in refused.items()), Exit.FAILED)
    year = YEAR_MS / next(iter(tables.values())).bar_ms
    result = _result(found, refused, year, cost_bps, time.perf_counter() - began)
    _show(result)
    if as_json:
        print(json.dumps(result), flush=True)


def judge_table(
    symbol: str, table: BarTable, cost_bps: float, folds: int, two_level: bool = False
) -> tuple[str, Sequence[Judged], dict[str, str]]:
    """Return one symbol, everyone judged on it, and the reasons of those that could not be."""
    from strategies.regime_policy import PolicyOptions  # noqa: PLC0415  # as above
    from strategies.regimes.hierarchy import H2  # noqa: PLC0415  # as above
    from strategies.regimes.options import FitOptions, FitRefused  # noqa: PLC0415  # as above
    from strategies.research.economics import judge  # noqa: PLC0415  # as above
    from strategies.research.hierarchy_walk import hierarchy_exposures  # noqa: PLC0415  # as above
    from strategies.research.walk_forward import WalkForwardOptions  # noqa: PLC0415  # as above

    walk = WalkForwardOptions(folds=folds, train_share=0.5, cost_bps=cost_bps, bars_per_year=YEAR_MS / table.bar_ms)
    policy = PolicyOptions(round_trip_cost_bps=2 * cost_bps)
    others, without = {}, {}
    try:
        if two_level:
            others[H2] = hierarchy_exposures(table, table.open_ms, FitOptions(), policy, walk)
    except FitRefused as error:
        without[H2] = str(error)
    try:
        judged, refused = judge(table.features(), table.open_ms, table.bar_ms, FitOptions(), policy, walk, others)
    except FitRefused as error:
        return symbol, (), {symbol: str(error)}
    return symbol, judged, {f"{symbol} {kind}": reason for kind, reason in (refused | without).items()}


def _result(
    found: dict[str, Sequence[Judged]], refused: dict[str, str], year: float, cost_bps: float, seconds: float
) -> dict[str, Any]:
    from strategies.research.economics import together  # noqa: PLC0415  # as above

    rows = [{"symbol": name, **_row(each, year)} for name, judged in found.items() for each in judged]
    if len({len(each.net) for judged in found.values() for each in judged}) == 1 and len(found) > 1:
        rows += [{"symbol": ALL, **_row(each, year)} for each in together(list(found.values()), year)]
    return {"cost_bps": cost_bps, "rows": rows, "refused": refused, "seconds": round(seconds, 1)}


def _row(judged: Judged, year: float) -> dict[str, Any]:
    figures = judged.figures
    row: dict[str, Any] = {
        "strategy": judged.name,
        "bars": figures.bars,
        "sharpe": figures.sharpe,
        "sharpe_se": figures.sharpe_se,
        "total_return": figures.total_return,
        "max_drawdown": figures.max_drawdown,
        "turnover_per_year": figures.turnover * year,
        "exposure": figures.exposure,
        "edge": judged.edge,
        "edge_se": judged.edge_se,
    }
    if judged.trust is not None:
        trust = judged.trust
        row |= {
            "nats_per_bar": trust.held_out.nats_per_bar,
            "nats_se": trust.held_out.error,
            "lag_bars": trust.lag.bars,
            "missed_frac": trust.lag.missed_frac,
            "dwell_bars": trust.dwell_bars,
            "refits": trust.refits,
        }
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
    return {name: value for name, value in rounded.items() if not (isinstance(value, float) and math.isnan(value))}


def _show(result: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415  # as above

    from orchestration.cli.train_report import table_console  # noqa: PLC0415  # as above

    table = Table(
        "symbol", "strategy", "Sharpe", "return", "drawdown", "turnover/y", "edge/y", "nats/bar", "lag", "dwell"
    )
    for row in result["rows"]:
        table.add_row(
            row["symbol"],
            row["strategy"],
            f"{row['sharpe']:.2f} ± {row['sharpe_se']:.2f}",
            f"{row['total_return']:.1%}",
            f"{row['max_drawdown']:.1%}",
            f"{row['turnover_per_year']:.0f}",
            f"{row['edge']:+.1%} ± {row['edge_se']:.1%}",
            f"{row['nats_per_bar']:.3f} ± {row['nats_se']:.3f}" if "nats_per_bar" in row else "",
            f"{row['lag_bars']:.1f}" if "lag_bars" in row else "",
            f"{row['dwell_bars']:.1f}" if "dwell_bars" in row else "",
        )
    console = table_console()
    console.print(table)
    for name, reason in result["refused"].items():
        console.print(f"{name}: {reason}")
    console.print(
        "Edge: yearly mean return above holding. Less than two standard errors is no claim. "
        f"Costs {result['cost_bps']} bps per unit of turnover; {result['seconds']} s."
    )

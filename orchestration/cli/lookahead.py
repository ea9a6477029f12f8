"""``nhmm lookahead``: the proof that no value behind a model's trades knew its future."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.cli.layout import Exit, Refused

if TYPE_CHECKING:
    from strategies.research.lookahead_proof import ScalerCheck

SHOWN = 20


def lookahead(
    model: Annotated[Path, typer.Option("--model", exists=True, file_okay=False, help="Folder made by nhmm train.")],
    bars: Annotated[Path, typer.Option("--bars", exists=True, dir_okay=False, help="Parquet file of bars.")],
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this one of the model's symbols.")] = None,
    cuts: Annotated[int, typer.Option(min=1, max=200, help="At how many places the future is cut away.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on the last line.")] = False,
) -> None:
    """Cut the future away, compute features, scaler, posterior, signal and size again; exit 1 when one differs.

    Exit 4 where these bars are not those of the training and cannot tell whose scaler it is (BARS_DIFFER).
    """
    from governance.model_folder import ModelUntrusted, read_model_folder  # noqa: PLC0415  # only when asked

    try:
        bundle, _ = read_model_folder(model)
    except ModelUntrusted as error:
        raise Refused(f"MODEL_UNTRUSTED: {error}", Exit.USAGE) from error
    names = [name for name in bundle["symbols"] if symbol is None or name.casefold() == symbol.casefold()]
    if not names:
        raise Refused(f"SYMBOL_UNKNOWN: the model holds {', '.join(bundle['symbols'])}", Exit.USAGE)
    others: dict[str, str] = {}
    checked, leaks, untold = 0, [], []
    for name in names:
        found, rows, scaler = _prove(name, bundle, bars, cuts)
        checked += found
        leaks += rows
        untold += [name] if scaler.lacks else []
        others |= {name: scaler.differs} if scaler.differs else {}
    result = {"checked": checked, "leaks": leaks, "scaler_not_checked": untold, "bars_differ": sorted(others)}
    print(json.dumps(result) if as_json else _sentence(checked, leaks, untold), flush=True)
    if leaks:
        raise typer.Exit(Exit.FAILED)
    if others:
        name, why = next(iter(others.items()))
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise Refused(f"{name}{more}: {why}", Exit.CONFIGURATION)


def _prove(symbol: str, bundle: dict[str, Any], path: Path, cuts: int) -> tuple[int, list[dict[str, Any]], ScalerCheck]:
    from orchestration.cli.bar_files import check_interval, read_bars, table_before, table_of  # noqa: PLC0415  # as above
    from strategies.regimes.hierarchy import read_model  # noqa: PLC0415  # as above
    from strategies.regimes.model import ModelRefused  # noqa: PLC0415  # as above
    from strategies.regimes.options import FitRefused  # noqa: PLC0415  # as above
    from strategies.research.lookahead_proof import check_scaler, pipeline_of, prove, prove_table  # noqa: PLC0415  # as above

    frame = read_bars(path, (symbol,), None, None)
    try:
        table, _ = table_of(frame, drop_dead_tail=False)
        model = read_model(bundle["symbols"][symbol])
        check_interval(table.bar_ms, bundle["interval"])
        proof = prove(table, pipeline_of(model), cuts)
        source = prove_table(lambda before_ms: table_before(frame, before_ms), table, cuts)
        scaler = check_scaler(table, model)
    except (ModelRefused, FitRefused, ValueError) as refused:
        # Not 1, which says that there is a leak.
        raise Refused(f"{symbol}: {refused}", Exit.CONFIGURATION) from refused
    rows = [
        {
            "symbol": symbol,
            "column": leak.column,
            "at": int(table.open_ms[leak.at]),
            # A value that appears or goes away with the future has no finite difference.
            "difference": leak.difference if math.isfinite(leak.difference) else None,
        }
        for leak in (*source.leaks, *proof.leaks, *scaler.leaks)
    ]
    return source.checked + proof.checked, rows, scaler


def _sentence(checked: int, leaks: list[dict[str, Any]], untold: list[str]) -> str:
    if not leaks:
        asked = f"; these bars cannot tell whose scaler that of {', '.join(untold)} is" if untold else ""
        return f"{checked:,} values computed again without their future: none differs{asked}"
    lines = [f"  {leak['symbol']} {leak['column']} at {leak['at']}: {leak['difference']}" for leak in leaks[:SHOWN]]
    return "\n".join([f"{len(leaks)} leaks in {checked:,} values:", *lines])

"""``nhmm regimes``: what a model says of recorded bars, each bar with what its close made known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestration.cli.layout import Exit, Refused, written


def regimes(
    model: Annotated[Path, typer.Option("--model", exists=True, file_okay=False, help="Folder made by nhmm train.")],
    bars: Annotated[Path, typer.Option("--bars", exists=True, dir_okay=False, help="Parquet file of bars.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    symbol: Annotated[str | None, typer.Option("--symbol", help="Where the model has more than one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on the last line.")] = False,
) -> None:
    """Write one row a bar: ts, posterior_0 to posterior_K-1 and regime, filtered (never smoothed)."""
    from governance.model_folder import ModelUntrusted, read_model_folder  # noqa: PLC0415  # only when asked

    try:
        bundle, _ = read_model_folder(model)
    except ModelUntrusted as error:
        raise Refused(f"MODEL_UNTRUSTED: {error}", Exit.USAGE) from error
    result = _write(bundle, _symbol(bundle, symbol), bars, out)
    print(json.dumps(result) if as_json else _sentence(result), flush=True)


def _symbol(bundle: dict[str, Any], wanted: str | None) -> str:
    known = list(bundle["symbols"])
    if wanted is None and len(known) == 1:
        return str(known[0])
    found = [name for name in known if wanted is not None and name.casefold() == wanted.casefold()]
    if not found:
        raise Refused(f"SYMBOL_UNKNOWN: choose one with --symbol: {', '.join(known)}", Exit.USAGE)
    return str(found[0])


def _write(bundle: dict[str, Any], symbol: str, bars: Path, out: Path) -> dict[str, Any]:
    import polars as pl  # noqa: PLC0415  # only when asked

    from orchestration.cli.bar_files import check_interval, read_bars, table_of  # noqa: PLC0415  # as above
    from strategies.regimes.hierarchy import posteriors_of, read_model  # noqa: PLC0415  # as above
    from strategies.regimes.model import ModelRefused  # noqa: PLC0415  # as above
    from strategies.regimes.options import FitRefused  # noqa: PLC0415  # as above

    frame = read_bars(bars, (symbol,), None, None)
    try:
        model = read_model(bundle["symbols"][symbol])
        table, counts = table_of(frame, drop_dead_tail=False)
    except (ModelRefused, FitRefused) as refused:
        raise Refused(f"{symbol}: {refused}", Exit.CONFIGURATION) from refused
    check_interval(table.bar_ms, bundle["interval"])
    posteriors = posteriors_of(model, table)
    known = pl.DataFrame({"ts": table.open_ms}).with_columns(
        pl.Series(f"posterior_{k}", posteriors[:, k]).fill_nan(None) for k in range(model.count)
    )
    likeliest = pl.Series("regime", posteriors.argmax(axis=1).astype("int32"))
    known = known.with_columns(pl.when(pl.col("posterior_0").is_not_null()).then(likeliest).alias("regime"))
    # A bar that cannot be used keeps its row, without a regime: nothing is filled in.
    times = frame.select(pl.col("ts").cast(pl.Int64)).unique().sort("ts")
    rows = times.join(known, on="ts", how="left", maintain_order="left")
    with written(out, "--out"):
        rows.write_parquet(out)
    return {
        "symbol": symbol,
        "version": bundle["version"],
        "bars": rows.height,
        "with_regime": rows.get_column("regime").count(),
        "states": model.count,
        "labels": list(model.labels),
        "left_out_or_odd": {name: count for name, count in counts.items() if count},
        "out": str(out),
    }


def _sentence(result: dict[str, Any]) -> str:
    return (
        f"{result['symbol']}: {result['with_regime']} of {result['bars']} bars have a regime "
        f"({', '.join(result['labels'])}); left out or odd: {result['left_out_or_odd'] or 'nothing'}; {result['out']}"
    )

"""``nhmm backtest``: trade recorded bars with the engine's own code, or with its fast twin, and say what came of it."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.layout import Exit, Refused, written

#: No amount of money or bars is larger; sums of such amounts stay exact.
MOST = Decimal("1e15")


class FillAt(StrEnum):
    CLOSE = "close"
    OPEN = "open"


class EnginePath(StrEnum):
    EVENT = "event"
    VECTOR = "vector"


class MarketKind(StrEnum):
    SPOT = "spot"
    FUTURES = "futures"


def backtest(
    bars: Annotated[Path, typer.Option("--bars", help="Parquet: symbol, ts (open, UTC ms), open, ..., volume.")],
    strategy: Annotated[
        str, typer.Option("--strategy", help="ma_cross, hmm_regime, ensemble, buy_and_hold, vol_target.")
    ] = "ma_cross",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of it, e.g. fast=10.")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Folder made by nhmm train.")] = None,
    symbols: Annotated[str, typer.Option("--symbols", help="Comma-separated; all of the file without.")] = "",
    first: Annotated[str | None, typer.Option("--from", help="First bar, ISO time (UTC).")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Exclusive end, ISO time (UTC).")] = None,
    quantity: Annotated[str | None, typer.Option("--quantity", help="Base units at full size (1).")] = None,
    notional: Annotated[str | None, typer.Option("--notional", help="Quote units at full size, instead.")] = None,
    cash: Annotated[str, typer.Option("--cash", help="Opening balance in USDT.")] = "1000000",
    fee_bps: Annotated[str, typer.Option("--fee-bps", help="Of the notional, every fill.")] = "5",
    spread_bps: Annotated[str, typer.Option("--spread-bps", help="Between bid and ask.")] = "0",
    slippage_bps: Annotated[str, typer.Option("--slippage-bps", help="Lost on every fill beside the spread.")] = "0",
    funding: Annotated[Path | None, typer.Option("--funding", help="Parquet: symbol, ts, funding_rate.")] = None,
    fill: Annotated[FillAt, typer.Option("--fill", help="At the signal bar's close, or the next open.")] = FillAt.CLOSE,
    long_only: Annotated[bool, typer.Option("--long-only", help="A short wish means flat.")] = False,
    market: Annotated[MarketKind, typer.Option("--market", help="Spot cannot go short.")] = MarketKind.FUTURES,
    path: Annotated[EnginePath, typer.Option("--path", help="The engine's code, or its fast twin.")] = EnginePath.EVENT,
    limits: Annotated[list[str] | None, typer.Option("--limit", help="A risk limit, e.g. max_notional=50000.")] = None,
    trades: Annotated[Path | None, typer.Option("--trades", help="Parquet to write, one row a fill.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="HTML page to write.")] = None,
    record: Annotated[
        Path | None,
        typer.Option("--trials", help="JSON lines of all trials so far, as of sweep: counted and added to."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on the last line.")] = False,
) -> None:
    """Trade recorded bars on the engine's own rails, books and fills; the same bars give the same figures."""
    from orchestration.cli import backtest_run  # noqa: PLC0415  # loads numbers and tables only when asked

    if quantity is not None and notional is not None:
        raise Refused("give --quantity or --notional, not both", Exit.USAGE)
    options = backtest_run.RunOptions(
        bars=bars,
        strategy=strategy,
        settings=pairs(settings or [], "--set"),
        model=model,
        symbols=tuple(name.strip() for name in symbols.split(",") if name.strip()),
        first=first,
        last=last,
        quantity=None if notional is not None else amount(quantity or "1", "--quantity"),
        notional=None if notional is None else amount(notional, "--notional"),
        cash=amount(cash, "--cash"),
        fee_bps=amount(fee_bps, "--fee-bps", zero=True),
        half_spread_bps=amount(spread_bps, "--spread-bps", zero=True) / 2
        + amount(slippage_bps, "--slippage-bps", zero=True),
        funding=funding,
        fill_at=fill.value,
        long_only=long_only,
        market=market.value,
        limits=pairs(limits or [], "--limit"),
        vector=path is EnginePath.VECTOR,
    )
    done = backtest_run.run(options)
    if record is not None:
        done = backtest_run.counted(options, done, record)
    if trades is not None:
        backtest_run.write_trades(trades, done)
    if report is not None:
        from orchestration.cli.backtest_report import write  # noqa: PLC0415  # plotting only when asked

        with written(report, "--report"):
            write(report, options, done)
    for note in done.notes:
        print(f"note: {note}")
    print(json.dumps(done.figures) if as_json else backtest_run.sentence(done), flush=True)


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """Return ``name=value`` words as a mapping.

    Raises:
        Refused: one of them is not written like that, or a name is there twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise Refused(f"{option} {text}: write name=value", Exit.USAGE)
        if name in found:
            raise Refused(f"{option} {text}: {name} is given twice", Exit.USAGE)
        found[name] = value
    return found


def amount(text: str, option: str, *, zero: bool = False) -> Decimal:
    """Return an amount as written.

    Raises:
        Refused: it is no number, or below (without ``zero``: not above) 0.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Refused(f"{option} {text} is no number", Exit.USAGE) from None
    if not value.is_finite() or value < 0 or (value == 0 and not zero):
        raise Refused(f"{option} {text}: a number {'from' if zero else 'above'} 0", Exit.USAGE)
    if value > MOST:
        raise Refused(f"{option} {text}: at most {MOST:f}", Exit.USAGE)
    return value

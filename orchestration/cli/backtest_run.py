"""One backtest from files to figures: read, check, trade, sum up."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine_service.backtest.desk import FINEST
from engine_service.backtest.event_path import FundingRate, trade_wishes
from engine_service.backtest.figures import figures_of, sharpe_of
from engine_service.backtest.options import BacktestOptions, FillRow, LimitInvalid, Traded, policy_of
from engine_service.backtest.series import BadBars, BarSeries, check_one_venue, checked_symbol
from engine_service.backtest.signals import wishes_for
from engine_service.backtest.vector_path import EventPathNeeded, FundsShort, trade_crossings
from orchestration.cli.backtest_notes import idle, in_sample, notes
from orchestration.cli.bar_files import check_interval, parse_time, read_bars
from orchestration.cli.funding_file import read_funding
from orchestration.cli.layout import Exit, Refused, written
from orchestration.cli.trial_file import count_trials, deflated, scope_of
from strategies.research.catalogue import StrategyChoice, UnknownSetting

VENUE = "BINANCE"
QUOTE = "USDT"
WHOLE_BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a person asked for; amounts are checked, files and names are not yet."""

    bars: Path
    strategy: str
    settings: Mapping[str, str]
    model: Path | None
    symbols: tuple[str, ...]
    first: str | None
    last: str | None
    quantity: Decimal | None
    notional: Decimal | None
    cash: Decimal
    fee_bps: Decimal
    half_spread_bps: Decimal
    funding: Path | None
    fill_at: Literal["close", "open"]
    long_only: bool
    market: Literal["spot", "futures"]
    limits: Mapping[str, str]
    vector: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Done:
    """A finished run. ``names`` maps the engine's symbols to those of the file; ``version`` is the model's, if any."""

    series: Mapping[str, BarSeries]
    names: Mapping[str, str]
    traded: Traded
    version: str
    at_open: bool
    figures: Mapping[str, Any]
    notes: tuple[str, ...]


def run(options: RunOptions) -> Done:
    """Trade what was asked for.

    Raises:
        Refused: a file, name, setting or limit is wrong (exit 2), or the bars cannot be traded (exit 4); the
            message begins with the name of the reason.
    """
    try:
        series, names = load(options)
        choice = strategy_choice(options, series, names)
        if options.funding is not None and options.market != "futures":
            raise Refused("--funding is for --market futures", Exit.USAGE)
        funding = read_funding(options.funding, names, series) if options.funding is not None else {}
        with undisturbed():
            began = time.perf_counter()
            traded = _trade(options, series, choice, funding)
            figures = figures_of(traded)
            seconds = time.perf_counter() - began
    except BadBars as error:
        raise Refused(str(error), Exit.CONFIGURATION) from error
    except FundsShort as error:
        raise Refused(f"FUNDS_SHORT: {error}", Exit.CONFIGURATION) from error
    except EventPathNeeded as error:
        raise Refused(f"EVENT_PATH_NEEDED: {error}", Exit.USAGE) from error
    except UnknownSetting as error:
        raise Refused(f"STRATEGY_INVALID: {error}", Exit.USAGE) from error
    return Done(
        series=series,
        names=names,
        traded=traded,
        version=choice.version,
        at_open=options.fill_at == "open",
        figures={**figures, "seconds": seconds},
        notes=(*notes(series, names), *in_sample(series, names, choice), *idle(choice, figures)),
    )


def counted(options: RunOptions, done: Done, record: Path) -> Done:
    """Record a run as one more trial, and say how sure it is above zero after all that were made.

    Raises:
        Refused: the record cannot be read or written.
    """
    estimate, scale = sharpe_of(done.traded)
    scope = scope_of(options, done.series, done.version)
    others = count_trials(record, scope, [(options.settings, estimate.per_bar)])
    said = deflated(estimate, scale, [estimate.per_bar, *others])
    note = (
        f"TRIALS: {said['trials_counted']} trials were made; after so many, that the Sharpe ratio of this one is "
        f"above zero is {said['deflated_sharpe']:.0%} sure"
    )
    return replace(done, figures={**done.figures, **said}, notes=(*done.notes, note))


def _trade(
    options: RunOptions,
    series: Mapping[str, BarSeries],
    choice: StrategyChoice,
    funding: Mapping[str, Sequence[FundingRate]],
) -> Traded:
    traded_as = backtest_options(options)
    if options.vector:
        return trade_crossings(series, choice, traded_as, funding)
    wishes = {symbol: wishes_for(columns, choice) for symbol, columns in series.items()}
    return trade_wishes(series, wishes, traded_as, funding)


def backtest_options(options: RunOptions) -> BacktestOptions:
    """Return the engine's view of what was asked for.

    Raises:
        Refused: a risk limit is unknown or out of range, the quantity too small, spread or fee too large.
    """
    if options.quantity is not None and options.quantity < FINEST:
        raise Refused(f"--quantity {options.quantity}: at least {FINEST:f}", Exit.USAGE)
    if options.half_spread_bps >= WHOLE_BPS:
        raise Refused("--spread-bps and --slippage-bps: less than the whole price", Exit.USAGE)
    if options.fee_bps >= WHOLE_BPS:
        raise Refused(f"--fee-bps {options.fee_bps}: less than the whole notional ({WHOLE_BPS})", Exit.USAGE)
    try:
        policy_of(options.limits)
    except LimitInvalid as error:
        raise Refused(f"LIMIT_INVALID: {error}", Exit.USAGE) from error
    return BacktestOptions(
        market=options.market,
        balances={QUOTE: options.cash},
        quantity=options.quantity,
        notional=options.notional,
        fee_bps=options.fee_bps,
        half_spread_bps=options.half_spread_bps,
        fill_at=options.fill_at,
        long_only=options.long_only,
        limits=options.limits,
        sample_equity=bool(options.limits.keys() & {"max_drawdown_pct", "daily_loss", "equity_breaker_drop_pct"}),
        reporting=QUOTE,
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the collector's pauses out of a run: it makes many small objects and not one cycle."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# --- files ------------------------------------------------------------------------------------------------------


def load(options: RunOptions) -> tuple[dict[str, BarSeries], dict[str, str]]:
    """Return the bars by the engine's symbol, and the file's name of each.

    Raises:
        Refused: the file cannot be read or lacks something.
        BadBars: the bars cannot be traded.
    """
    first, last = parse_time(options.first, "--from"), parse_time(options.last, "--to")
    frame = read_bars(options.bars, options.symbols, first, last)
    known = frame.get_column("symbol").unique(maintain_order=True).to_list()
    parts = {name: frame.filter(pl.col("symbol") == name) for name in known}
    names: dict[str, str] = {}
    for name in known:
        symbol = engine_symbol(name)
        if symbol in names:
            raise Refused(f"SYMBOL_AMBIGUOUS: {names[symbol]} and {name} are both {symbol}", Exit.USAGE)
        names[symbol] = name
    check_one_venue(names)
    return {symbol: _series(symbol, parts[name]) for symbol, name in sorted(names.items())}, names


def engine_symbol(name: str) -> str:
    """Return the engine's key of a file's symbol: ``BTCUSDT`` gives ``BTCUSDT.BINANCE``.

    Raises:
        Refused: it is not written like a symbol.
    """
    whole = name.upper()
    if "." not in name:
        whole = f"{whole}.{VENUE}" if whole.endswith(QUOTE) else f"{whole}{QUOTE}.{VENUE}"
    try:
        return checked_symbol(whole if name else "")
    except ValueError as error:
        raise Refused(f"SYMBOL_FORMAT: {name or 'an empty symbol'}: {error}", Exit.USAGE) from error


def _series(symbol: str, frame: pl.DataFrame) -> BarSeries:
    open_at = frame.get_column("ts").cast(pl.Int64).to_numpy()
    series = BarSeries(
        symbol=symbol,
        open_at=open_at,
        close_at=open_at + _bar_ms(symbol, open_at),
        **{name: _floats(frame, name) for name in ("open", "high", "low", "close", "volume")},
    )
    series.check()
    return series


def _bar_ms(symbol: str, open_at: NDArray[np.int64]) -> int:
    steps = np.diff(open_at)
    if len(steps) and (steps < 0).all():
        raise BadBars("BARS_UNSORTED", f"the bars of {symbol} stand newest first; sort them by ts")
    steps = steps[steps > 0]
    if len(steps) == 0:
        raise BadBars("TOO_FEW_BARS", f"{symbol} has {len(open_at)} bars; the length of a bar cannot be known")
    lengths, counts = np.unique(steps, return_counts=True)
    return int(lengths[counts.argmax()])


def _floats(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    return frame.get_column(name).cast(pl.Float64).fill_null(float("nan")).to_numpy()


def strategy_choice(options: RunOptions, series: Mapping[str, BarSeries], names: Mapping[str, str]) -> StrategyChoice:
    """Return the strategy with its models, if it needs any.

    Raises:
        Refused: the model folder cannot be used, or its models read bars of another length.
    """
    choice = StrategyChoice(name=options.strategy, settings=options.settings)
    if options.model is None:
        return choice
    from governance.model_folder import ModelUntrusted, read_model_folder  # noqa: PLC0415  # only with a model
    from strategies.regimes.hierarchy import read_model  # noqa: PLC0415  # as above
    from strategies.regimes.model import ModelRefused  # noqa: PLC0415  # as above

    try:
        bundle, _card = read_model_folder(options.model)
        models = {
            symbol: read_model(bundle["symbols"][name]) for symbol, name in names.items() if name in bundle["symbols"]
        }
    except (ModelUntrusted, ModelRefused, OSError) as error:
        raise Refused(f"MODEL_UNTRUSTED: {error}", Exit.USAGE) from error
    for symbol in models:
        check_interval(series[symbol].bar_ms, str(bundle["interval"]))
    return StrategyChoice(
        name=options.strategy, settings=options.settings, models=models, version=str(bundle["version"])
    )


# --- what is said -----------------------------------------------------------------------------------------------


def write_trades(path: Path, done: Done) -> None:
    """Write one row a fill: symbol, ts (ms, when it traded), bar_ts (open of its bar), side, price, quantity, fee.

    Raises:
        Refused: the file cannot be written.
    """
    rows = [_trade_row(done, fill) for fill in done.traded.fill_rows()]
    schema = {
        "symbol": pl.String,
        "ts": pl.Int64,
        "bar_ts": pl.Int64,
        "side": pl.String,
        "price": pl.Float64,
        "quantity": pl.Float64,
        "fee": pl.Float64,
    }
    with written(path, "--trades"):
        pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)


def _trade_row(done: Done, fill: FillRow) -> tuple[Any, ...]:
    columns = done.series[fill.symbol]
    bar = columns.bar_at(fill.at_ms, at_open=done.at_open)
    return (
        done.names[fill.symbol],
        fill.at_ms,
        int(columns.open_at[bar]),
        fill.side,
        float(fill.price),
        float(fill.quantity),
        float(fill.fee),
    )


def sentence(done: Done) -> str:
    """Return the figures as a person reads them."""
    shown = done.figures
    return (
        f"{shown['bars']} bars, {shown['orders']} orders, {shown['fills']} fills in {shown['seconds']:.2f} s: "
        f"realised {shown['realised_pnl']}, fees {shown['fees']}, equity {shown['equity_final']} {QUOTE}; "
        f"Sharpe {shown['sharpe']:.2f} +/- {shown['sharpe_se']:.2f}, drawdown {shown['max_drawdown']:.1%}"
    )

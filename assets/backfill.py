"""Fetches the bars that are missing, and only those. Plain code: the Dagster asset around it is in ``bars.py``.

A day is compared with what is stored; the gaps are fetched by several workers and written in large pieces. What the
venue did not have is remembered in the coverage table and asked for again only after a while, so a complete day
costs no request at all and a run that was cut short goes on where its last piece ended.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.intervals import DAY_MS, Span, closed_part, day_span, joined, missing, present, to_ms, utc
from assets.ports import BarRow, BarSource
from assets.settings import BackfillSettings
from assets.tables import BARS, COVERAGE
from warehouse.store import Warehouse
from warehouse.table_spec import UTC_MS

PAGE_BARS = 1000
TELL_EVERY_S = 2.0
_ROW_COLUMNS = ("open_ms", "open", "high", "low", "close", "volume", "quote_volume", "trades")


_NONE: NDArray[np.int64] = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """Which bars are wanted. ``source`` names the venue's endpoint in the coverage table."""

    symbols: Sequence[str]
    days: Sequence[str]
    market: str
    interval: str
    step_ms: int
    now_ms: int
    source: str


@dataclass(slots=True, kw_only=True)
class BackfillReport:
    """What a backfill did. Bars are counted over all symbols and days."""

    expected: int = 0
    stored_before: int = 0
    asked_for: int = 0
    fetched: int = 0
    absent: int = 0
    requests: int = 0
    gaps: int = 0
    seconds: float = 0.0
    bars_by_day: dict[str, int] = field(default_factory=dict)

    @property
    def stored(self) -> int:
        """Bars stored now."""
        return sum(self.bars_by_day.values())


@dataclass(frozen=True, slots=True)
class _Gap:
    day: str
    symbol: str
    span: Span


def backfill(
    source: BarSource,
    warehouse: Warehouse,
    request: BackfillRequest,
    settings: BackfillSettings,
    tell: Callable[[str], None],
) -> BackfillReport:
    """Fetch what is missing of the requested days and write it; ``tell`` gets a line of progress now and then.

    Raises:
        Whatever ``source`` raises where the venue stays away; what was fetched before is written.
    """
    began = time.monotonic()
    report = BackfillReport()
    gaps = [gap for day in request.days for gap in _gaps(warehouse, request, settings, day, report)]
    report.gaps = len(gaps)
    if gaps:
        tell(f"{report.asked_for} bars are missing in {len(gaps)} gaps of {len(request.days)} days")
        _fetch_all(source, warehouse, request, settings, gaps, report, tell)
    for day in request.days:
        touched = {gap.symbol for gap in gaps if gap.day == day}
        report.bars_by_day[day] = _account(warehouse, request, day, touched, report)
    report.seconds = time.monotonic() - began
    return report


def _gaps(
    warehouse: Warehouse,
    request: BackfillRequest,
    settings: BackfillSettings,
    day: str,
    report: BackfillReport,
) -> Iterable[_Gap]:
    """Yield what to fetch of one day."""
    span = closed_part(day_span(day), request.step_ms, request.now_ms)
    stored = stored_opens(warehouse, request, day)
    absent = _known_absent(warehouse, request, settings, day)
    for symbol in request.symbols:
        opens = stored.get(symbol, _NONE)
        report.expected += span.bars(request.step_ms)
        report.stored_before += int(((opens >= span.start_ms) & (opens < span.end_ms)).sum())
        for gap in joined(
            missing(opens, span, request.step_ms, absent.get(symbol, ())), request.step_ms, PAGE_BARS // 2
        ):
            report.asked_for += gap.bars(request.step_ms)
            yield from (_Gap(day, symbol, piece) for piece in _pieces(gap, request.step_ms))


def _pieces(gap: Span, step_ms: int) -> Iterable[Span]:
    """Cut a gap into spans of some pages each, so that workers share even one long gap."""
    length = 10 * PAGE_BARS * step_ms
    for start in range(gap.start_ms, gap.end_ms, length):
        yield Span(start, min(start + length, gap.end_ms))


def stored_opens(warehouse: Warehouse, request: BackfillRequest, day: str) -> dict[str, NDArray[np.int64]]:
    """Return the open times of the bars stored for one day, sorted, by symbol; shape (T,), UTC ms.

    A quarantined day counts as empty: it is fetched again as a whole.
    """
    rows = (
        warehouse.reader(BARS)
        .scan([day])
        .filter((pl.col("market") == request.market) & (pl.col("interval") == request.interval))
        .select("symbol", pl.col("open_at").dt.epoch("ms").alias("open_ms"))
        .collect()
        .sort("symbol", "open_ms")
    )
    return {
        str(symbol): part.get_column("open_ms").to_numpy()
        for (symbol,), part in rows.partition_by("symbol", as_dict=True).items()
    }


def _known_absent(
    warehouse: Warehouse, request: BackfillRequest, settings: BackfillSettings, day: str
) -> dict[str, list[Span]]:
    """Return, by symbol, the spans that the venue did not have and that need not be asked for yet."""
    again_ms = request.now_ms - settings.recheck_after_s * 1000
    final = day_span(day).end_ms < request.now_ms - settings.recheck_days * DAY_MS
    spans: dict[str, list[Span]] = {}
    for row in _coverage(warehouse, request, day).filter(pl.col("state") == "ABSENT").iter_rows(named=True):
        checked_ms = to_ms(row["checked_at"])
        if checked_ms > again_ms or (final and checked_ms >= day_span(day).end_ms):
            spans.setdefault(row["symbol"], []).append(Span(to_ms(row["from_at"]), to_ms(row["until_at"])))
    return spans


def _coverage(warehouse: Warehouse, request: BackfillRequest, day: str) -> pl.DataFrame:
    ours = (pl.col("market") == request.market) & (pl.col("interval") == request.interval)
    return warehouse.reader(COVERAGE).read([day], where=ours)


def _fetch_all(
    source: BarSource,
    warehouse: Warehouse,
    request: BackfillRequest,
    settings: BackfillSettings,
    gaps: Sequence[_Gap],
    report: BackfillReport,
    tell: Callable[[str], None],
) -> None:
    """Fetch the gaps, a few at a time; write whenever enough has come, and what came also when one fails."""
    writer = warehouse.writer(BARS)
    waiting: list[pl.DataFrame] = []
    held = 0
    told = time.monotonic()
    pool = ThreadPoolExecutor(settings.parallel, thread_name_prefix="backfill")
    try:
        for frame in _fetched(pool, source, request, settings.parallel, gaps):
            report.requests += 1
            report.fetched += frame.height
            waiting.append(frame)
            held += frame.height
            if held >= settings.flush_rows:
                writer.upsert(pl.concat(waiting))
                waiting, held = [], 0
            if time.monotonic() - told > TELL_EVERY_S:
                told = time.monotonic()
                tell(f"{report.requests} of {len(gaps)} gaps fetched, {report.fetched} bars")
    finally:
        pool.shutdown(cancel_futures=True)
        if held:
            writer.upsert(pl.concat(waiting))


def _fetched(
    pool: ThreadPoolExecutor, source: BarSource, request: BackfillRequest, parallel: int, gaps: Sequence[_Gap]
) -> Iterable[pl.DataFrame]:
    """Yield one frame per gap as they come in; no more under way than workers can use, so memory stays bounded.

    After a failure nothing new is asked for; what is under way is still taken, then the failure is raised.
    """
    todo = iter(gaps)
    running: set[Future[pl.DataFrame]] = set()
    failure: BaseException | None = None
    while True:
        while failure is None and len(running) < 2 * parallel and (gap := next(todo, None)) is not None:
            running.add(pool.submit(_fetch, source, request, gap))
        if not running:
            break
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            failure = failure or future.exception()
            if future.exception() is None:
                yield future.result()
    if failure is not None:
        raise failure


def _fetch(source: BarSource, request: BackfillRequest, gap: _Gap) -> pl.DataFrame:
    rows = source.bars(gap.symbol, request.interval, gap.span.start_ms, gap.span.end_ms)
    return bar_frame(rows, day=gap.day, symbol=gap.symbol, market=request.market, interval=request.interval)


def bar_frame(rows: Sequence[BarRow], *, day: str, symbol: str, market: str, interval: str) -> pl.DataFrame:
    """Return venue rows of one symbol and day as rows of the bars table."""
    frame = pl.DataFrame(rows, schema=dict.fromkeys(_ROW_COLUMNS, pl.Float64), orient="row")
    return frame.select(
        pl.lit(day).alias("day"),
        pl.lit(symbol).alias("symbol"),
        pl.lit(market).alias("market"),
        pl.lit(interval).alias("interval"),
        pl.col("open_ms").cast(pl.Int64).cast(UTC_MS).alias("open_at"),
        *("open", "high", "low", "close", "volume", "quote_volume"),
        pl.col("trades").cast(pl.Int64),
    )


def _account(
    warehouse: Warehouse, request: BackfillRequest, day: str, touched: set[str], report: BackfillReport
) -> int:
    """Bring the coverage of the symbols that were asked for up to date; return the day's stored bars."""
    stored = stored_opens(warehouse, request, day)
    if touched:
        span = closed_part(day_span(day), request.step_ms, request.now_ms)
        rows = [
            row
            for symbol in sorted(touched)
            for row in _coverage_rows(request, day, symbol, span, stored.get(symbol, _NONE))
        ]
        report.absent += sum(row["bars"] for row in rows if row["state"] == "ABSENT")
        others = warehouse.reader(COVERAGE).read([day])
        ours = (
            pl.col("symbol").is_in(sorted(touched))
            & (pl.col("market") == request.market)
            & (pl.col("interval") == request.interval)
        )
        fresh = pl.DataFrame(rows, schema=COVERAGE.schema)
        warehouse.writer(COVERAGE).replace(pl.concat([others.filter(~ours), fresh]))
    return sum(len(opens) for opens in stored.values())


def _coverage_rows(
    request: BackfillRequest, day: str, symbol: str, span: Span, opens: NDArray[np.int64]
) -> Iterable[dict[str, Any]]:
    # The newest bars may only be late, or our clock ahead of the venue's: they are asked for again next time.
    settled_ms = span.end_ms if span == day_span(day) else (int(opens[-1]) if len(opens) else span.start_ms)
    states = [
        *(("PRESENT", part) for part in present(opens, span, request.step_ms)),
        *(("ABSENT", part) for part in missing(opens, span, request.step_ms) if part.end_ms <= settled_ms),
    ]
    for state, part in sorted(states, key=lambda entry: entry[1]):
        yield {
            "day": day,
            "symbol": symbol,
            "market": request.market,
            "interval": request.interval,
            "from_at": utc(part.start_ms),
            "until_at": utc(part.end_ms),
            "state": state,
            "bars": part.bars(request.step_ms),
            "source": request.source,
            "checked_at": utc(request.now_ms),
        }

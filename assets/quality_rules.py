"""What must hold for bars, features and fills, and what becomes of a day on which it does not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from assets.intervals import INTERVAL_MS
from strategies.features import FEATURE_SCHEMA, FEATURES
from warehouse.quality import Expectation, Finding, QualityReport, Suite, validate
from warehouse.store import Warehouse
from warehouse.table_spec import TableSpec

BATCH_ROWS = 1_000_000
_NOT_NULL = "ExpectColumnValuesToNotBeNull"
_BETWEEN = "ExpectColumnValuesToBeBetween"
_IN_SET = "ExpectColumnValuesToBeInSet"
_PAIR = "ExpectColumnPairValuesAToBeGreaterThanB"
_UNIQUE = "ExpectCompoundColumnsToBeUnique"
_HUGE = 1e15


def _between(column: str, least: float, most: float = _HUGE, *, above: bool = False) -> Expectation:
    bounds = {"column": column, "min_value": least, "max_value": most, "strict_min": above}
    return Expectation(_BETWEEN, bounds)


def _at_least(column: str, other: str) -> Expectation:
    return Expectation(_PAIR, {"column_A": column, "column_B": other, "or_equal": True})


def bar_suite() -> Suite:
    """Return what closed bars satisfy; the columns are those of ``bar_batch``."""
    return Suite(
        "bars",
        (
            Expectation("ExpectTableRowCountToBeBetween", {"min_value": 1}),
            *(
                Expectation(_NOT_NULL, {"column": name})
                for name in ("open", "high", "low", "close", "volume", "quote_volume")
            ),
            *(_between(name, 0.0, above=True) for name in ("low", "high")),
            *(_at_least("high", name) for name in ("open", "close", "low")),
            *(_at_least(name, "low") for name in ("open", "close")),
            *(_between(name, 0.0) for name in ("volume", "quote_volume", "trades")),
            Expectation(_IN_SET, {"column": "interval", "value_set": sorted(INTERVAL_MS)}),
            _between("off_grid_ms", 0, 0),
            _between("days_off", 0, 0),
            _between("future_ms", -_HUGE, 0),
            Expectation(_UNIQUE, {"column_list": ["symbol", "market", "interval", "open_ms"]}),
            Expectation(
                "ExpectColumnValuesToMatchRegex", {"column": "symbol", "regex": r"^[A-Z0-9_\-]{2,32}\.[A-Z]{2,16}$"}
            ),
            Expectation(_BETWEEN, {"column": "range_frac", "min_value": 0, "max_value": 0.5}, severity="warning"),
        ),
    )


def bar_batch(bars: pl.DataFrame, now_ms: int) -> pl.DataFrame:
    """Return bars with the derived columns that the suite looks at; each is judged by the grid of its own interval.

    A day may hold bars of several lengths: those that were fetched before another length was configured stay.
    """
    open_ms = pl.col("open_at").dt.epoch("ms")
    step_ms = pl.col("interval").replace_strict(INTERVAL_MS, default=None, return_dtype=pl.Int64)
    return bars.select(
        "symbol", "market", "interval", "open", "high", "low", "close", "volume", "quote_volume", "trades",
        open_ms.alias("open_ms"),
        (open_ms % step_ms).alias("off_grid_ms"),
        (pl.col("open_at").dt.strftime("%Y-%m-%d") != pl.col("day")).cast(pl.Int64).alias("days_off"),
        (open_ms + step_ms - now_ms).alias("future_ms"),
        (pl.col("high") / pl.col("low") - 1).alias("range_frac"),
    )  # fmt: skip


def feature_suite() -> Suite:
    """Return what feature rows satisfy; the columns are those of ``feature_batch``."""
    return Suite(
        "features",
        (
            Expectation("ExpectTableRowCountToBeBetween", {"min_value": 1}),
            *(Expectation(_NOT_NULL, {"column": name}) for name in FEATURES),
            *(_between(name, -_HUGE) for name in FEATURES),
            _between("volatility_20", 0.0),
            _between("volume_ratio_20", 0.0),
            Expectation(_IN_SET, {"column": "feature_schema", "value_set": [FEATURE_SCHEMA]}),
            Expectation(_UNIQUE, {"column_list": ["symbol", "market", "interval", "open_ms"]}),
            Expectation(_BETWEEN, {"column": "log_return", "min_value": -0.5, "max_value": 0.5}, severity="warning"),
        ),
    )


def feature_batch(rows: pl.DataFrame) -> pl.DataFrame:
    """Return feature rows with plain columns."""
    open_ms = pl.col("open_at").dt.epoch("ms").alias("open_ms")
    return rows.select("symbol", "market", "interval", "feature_schema", *FEATURES, open_ms)


def fill_suite() -> Suite:
    """Return what fills satisfy; the columns are those of ``fill_batch``."""
    return Suite(
        "fills",
        (
            *(_between(name, 0.0, above=True) for name in ("price", "quantity")),
            _between("fee", -_HUGE),
            _between("future_ms", -_HUGE, 60_000),
            Expectation(_IN_SET, {"column": "side", "value_set": ["BUY", "SELL"]}),
            Expectation(_UNIQUE, {"column_list": ["symbol", "market", "trade_id"]}),
            *(
                Expectation("ExpectColumnValueLengthsToBeBetween", {"column": name, "min_value": 1})
                for name in ("trade_id", "client_order_id", "fee_asset")
            ),
        ),
    )


def fill_batch(fills: pl.DataFrame, now_ms: int) -> pl.DataFrame:
    """Return fills with amounts as floats: bounds are asked for here, not sums."""
    filled_ms = pl.col("filled_at").dt.epoch("ms")
    return fills.select(
        "symbol", "market", "trade_id", "client_order_id", "side", "fee_asset",
        *(pl.col(name).cast(pl.Float64) for name in ("price", "quantity", "fee")),
        (filled_ms - now_ms).alias("future_ms"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the suite said about some days. ``quarantined`` days are out of every reader's sight now."""

    reports: tuple[QualityReport, ...]
    quarantined: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """True where no batch had a critical failure or an error."""
        return all(report.passed for report in self.reports)

    @property
    def rows(self) -> int:
        """Rows looked at."""
        return sum(report.rows for report in self.reports)

    @property
    def findings(self) -> list[Finding]:
        """Everything that did not pass, the critical first."""
        return [
            *(finding for report in self.reports for finding in report.failures("critical")),
            *(finding for report in self.reports for finding in report.failures("warning")),
        ]


def check_days(
    warehouse: Warehouse,
    table: TableSpec,
    days: Sequence[str],
    suite: Suite,
    batch: Callable[[pl.DataFrame], pl.DataFrame],
) -> Verdict:
    """Validate days of a table, in batches; put the days that fail in quarantine and take out those that pass.

    Where an expectation could not be evaluated, nothing is known about the data: the check fails, and no day is
    put away or taken out.
    """
    reports: list[QualityReport] = []
    bad: dict[str, str] = {}
    good: list[str] = []
    for group in _batches(warehouse, table, days):
        report = validate(batch(_rows(warehouse, table, group)), suite)
        reports.append(report)
        if report.passed:
            good += group
        elif not report.errors:
            bad |= {day: why for day in group if (why := _fault(warehouse, table, day, suite, batch))}
    writer = warehouse.writer(table)
    writer.release(good)
    for day, why in bad.items():
        writer.quarantine([day], why)
    return Verdict(reports=tuple(reports), quarantined=tuple(sorted(bad)))


def _fault(
    warehouse: Warehouse,
    table: TableSpec,
    day: str,
    suite: Suite,
    batch: Callable[[pl.DataFrame], pl.DataFrame],
) -> str:
    report = validate(batch(_rows(warehouse, table, [day])), suite)
    return "; ".join(f"{finding.expectation} ({finding.about})" for finding in report.failures("critical"))[:500]


def _batches(warehouse: Warehouse, table: TableSpec, days: Sequence[str]) -> Iterator[list[str]]:
    """Yield groups of stored days that fit into one batch; one empty group where nothing is stored."""
    stored = warehouse.reader(table).manifest().partitions
    group: list[str] = []
    rows = 0
    for day in [day for day in sorted(days) if day in stored]:
        if group and rows + stored[day].part.rows > BATCH_ROWS:
            yield group
            group, rows = [], 0
        group.append(day)
        rows += stored[day].part.rows
    yield group


def _rows(warehouse: Warehouse, table: TableSpec, days: Sequence[str]) -> pl.DataFrame:
    return warehouse.reader(table).read(days, quarantined=True)

"""Every stored table: its columns with type and unit, its keys and its partitions. One place, next to the assets."""

import polars as pl

from strategies.features import FEATURES
from warehouse.table_spec import EXACT, UTC_MS, Column, TableSpec

_DAY = Column("day", pl.String, "UTC day of the row, the partition", "YYYY-MM-DD")
_SYMBOL = Column("symbol", pl.String, "instrument, BASEQUOTE.VENUE")
_MARKET = Column("market", pl.String, "spot or futures")
_INTERVAL = Column("interval", pl.String, "bar length")
_OPEN_AT = Column("open_at", UTC_MS, "when the bar opened; usable once it closed", "UTC")
_BAR = (_DAY, _SYMBOL, _MARKET, _INTERVAL, _OPEN_AT)
_BAR_KEYS = ("symbol", "market", "interval", "open_at")

UNIVERSE = TableSpec(
    name="universe",
    meaning="Where every considered instrument stands now.",
    columns=(
        _SYMBOL,
        _MARKET,
        Column("bucket", pl.String, "QUARANTINE, CANDIDATE, ACTIVE, DEMOTED or RETIRED"),
        Column("reason", pl.String, "why it is there"),
        Column("since_at", UTC_MS, "when it came there", "UTC"),
        Column("first_seen_at", UTC_MS, "when it was first seen", "UTC"),
        Column("scanned_at", UTC_MS, "when it was last looked at", "UTC"),
        Column("clean_scans", pl.Int64, "scans in a row without a fault"),
        Column("turnover_24h", pl.Float64, "turnover of the last 24 h", "quote"),
        Column("last_price", pl.Float64, "last traded price", "quote"),
    ),
    keys=("symbol", "market"),
)

UNIVERSE_MOVES = TableSpec(
    name="universe_moves",
    meaning="Every change of an instrument's bucket.",
    columns=(
        _SYMBOL,
        _MARKET,
        Column("moved_at", UTC_MS, "when", "UTC"),
        Column("bucket", pl.String, "where to"),
        Column("reason", pl.String, "why"),
    ),
    keys=("symbol", "market", "moved_at"),
)

BARS = TableSpec(
    name="bars",
    meaning="Closed bars as the venue served them.",
    columns=(
        *_BAR,
        Column("open", pl.Float64, "first price", "quote"),
        Column("high", pl.Float64, "highest price", "quote"),
        Column("low", pl.Float64, "lowest price", "quote"),
        Column("close", pl.Float64, "last price", "quote"),
        Column("volume", pl.Float64, "traded quantity", "base"),
        Column("quote_volume", pl.Float64, "traded value", "quote"),
        Column("trades", pl.Int64, "number of trades"),
    ),
    keys=_BAR_KEYS,
    partition_by="day",
)

COVERAGE = TableSpec(
    name="bar_coverage",
    meaning="Which intervals of bars are there, which the venue did not have, and when that was found out.",
    columns=(
        _DAY,
        _SYMBOL,
        _MARKET,
        _INTERVAL,
        Column("from_at", UTC_MS, "first bar's open", "UTC"),
        Column("until_at", UTC_MS, "end of the last bar, exclusive", "UTC"),
        Column("state", pl.String, "PRESENT, or ABSENT at the venue"),
        Column("bars", pl.Int64, "bars in the interval"),
        Column("source", pl.String, "who said so"),
        Column("checked_at", UTC_MS, "when it was last asked", "UTC"),
    ),
    keys=("symbol", "market", "interval", "from_at"),
    partition_by="day",
)

FEATURE_ROWS = TableSpec(
    name="features",
    meaning="Features of closed bars; only complete rows, never across a gap.",
    columns=(
        *_BAR,
        Column("feature_schema", pl.String, "which definition made the row"),
        *(Column(name, pl.Float64, "see strategies/features.py") for name in FEATURES),
    ),
    keys=_BAR_KEYS,
    partition_by="day",
)

EVALUATIONS = TableSpec(
    name="evaluations",
    meaning="Out-of-sample figures of a model version, by symbol and over all (symbol ALL), net of costs.",
    columns=(
        Column("version", pl.String, "model version"),
        _SYMBOL,
        Column("evaluated_at", UTC_MS, "when", "UTC"),
        Column("symbols", pl.Int64, "symbols behind the row"),
        Column("folds", pl.Int64, "walk-forward folds"),
        Column("bars", pl.Int64, "out-of-sample bars"),
        Column("converged_frac", pl.Float64, "share of the fits that converged", "0-1"),
        Column("likelihood_gain", pl.Float64, "held-out log-likelihood above one Gaussian", "nats/bar"),
        Column("sharpe", pl.Float64, "annualised Sharpe ratio"),
        Column("sharpe_se", pl.Float64, "its standard error"),
        Column("total_return", pl.Float64, "net return", "1"),
        Column("hold_return", pl.Float64, "return of buy-and-hold", "1"),
        Column("max_drawdown_frac", pl.Float64, "deepest fall from a peak", "0-1"),
        Column("turnover_per_day", pl.Float64, "traded notional per equity", "1/day"),
        Column("exposure_frac", pl.Float64, "mean absolute exposure", "0-1"),
        Column("min_occupancy_frac", pl.Float64, "share of bars in the rarest regime", "0-1"),
        Column("min_dwell_bars", pl.Float64, "expected stay in the shortest regime", "bars"),
        Column("trades", pl.Int64, "changes of exposure out of sample", nullable=True),
    ),
    keys=("version", "symbol"),
)

PROMOTIONS = TableSpec(
    name="promotions",
    meaning="Every promotion decision, one row per gate.",
    columns=(
        Column("decided_at", UTC_MS, "when", "UTC"),
        Column("candidate", pl.String, "model version that was judged"),
        Column("champion", pl.String, "version in force then, empty for none"),
        Column("verdict", pl.String, "PROMOTE, KEEP_CHAMPION or AWAIT_APPROVAL"),
        Column("gate", pl.String, "name of the gate"),
        Column("passed", pl.Boolean, "its answer"),
        Column("value", pl.Float64, "the candidate's figure", nullable=True),
        Column("threshold", pl.Float64, "what was asked for"),
        Column("reason", pl.String, "both in one sentence"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("decided_at", "candidate", "gate"),
)

ALLOCATIONS = TableSpec(
    name="allocations",
    meaning="Every capital decision, one row per strategy.",
    columns=(
        Column("decided_at", UTC_MS, "when", "UTC"),
        Column("strategy", pl.String, "strategy id"),
        Column("budget_before", EXACT, "budget found", "reporting currency"),
        Column("budget_after", EXACT, "budget set", "reporting currency"),
        Column("step", pl.String, "why: RAISED, CUT, HELD, COOLING_DOWN, ..."),
        Column("scaled", pl.Boolean, "whether the pool was too small for all"),
        Column("sharpe", pl.Float64, "annualised Sharpe ratio it was judged by", nullable=True),
        Column("sharpe_source", pl.String, "live, evaluation or none"),
        Column("stepped_at_ms", pl.Int64, "when it was last stepped", "UTC ms", nullable=True),
        Column("equity", EXACT, "equity then", "reporting currency", nullable=True),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("decided_at", "strategy"),
)

LEAGUE = TableSpec(
    name="league",
    meaning="Shadow league on the bars common to all versions, one row per version and symbol, ALL for the rank.",
    columns=(
        Column("judged_at", UTC_MS, "when it was read", "UTC"),
        Column("version", pl.String, "model version"),
        Column("symbol", pl.String, "instrument, ALL for the mean over them"),
        Column("champion", pl.Boolean, "whether it was the model in force"),
        Column("bars", pl.Int64, "bars judged"),
        Column("net_return", pl.Float64, "compounded, after costs", "fraction"),
        Column("turnover", pl.Float64, "sum of changes of exposure", "of full size"),
        Column("sharpe", pl.Float64, "per bar, not annualised"),
        Column("sharpe_se", pl.Float64, "its standard error"),
        Column("recomputed", pl.String, "equal, different, or why it could not be recomputed"),
        Column("run_id", pl.String, "the Dagster run"),
        Column("place", pl.Int64, "place of the version, 1 is best; of ALL alone", nullable=True),
        Column("warm_from_at", UTC_MS, "first bar that warmed the filter", "UTC", nullable=True),
        Column("judged_from_at", UTC_MS, "first bar the version was judged on", "UTC", nullable=True),
        Column("first_open_at", UTC_MS, "first bar that counts, common to all versions", "UTC", nullable=True),
        Column("last_open_at", UTC_MS, "last bar that counts", "UTC", nullable=True),
        Column("cost_bps", pl.Float64, "paid per unit of turnover", "bps", nullable=True),
        Column("policy", pl.String, "options of the policy, as JSON", nullable=True),
    ),
    keys=("judged_at", "version", "symbol"),
)

PARITY = TableSpec(
    name="parity",
    meaning="Why each live decision was worth something else than in the backtest of the same bars, by cause.",
    columns=(
        _DAY,
        Column("strategy", pl.String, "strategy id"),
        _SYMBOL,
        Column("bar_open_at", UTC_MS, "the bar of the decision; start of the day where there was none", "UTC"),
        Column("order_id", pl.String, "the live order, empty where there was none"),
        Column("cause", pl.String, "fee, spread, latency, missed, rail, data, protection or position"),
        Column("amount", EXACT, "live minus backtest", "quote"),
        Column("detail", pl.String, "more about the cause"),
        Column("live_quantity", EXACT, "filled live, negative for a sale", "base"),
        Column("ideal_quantity", EXACT, "filled in the backtest", "base"),
        Column("compared_at", UTC_MS, "when", "UTC"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("day", "strategy", "symbol", "bar_open_at", "order_id", "cause"),
    partition_by="day",
)

PARITY_DAYS = TableSpec(
    name="parity_days",
    meaning="What the fills of a day earned until its end, live and in the backtest, by strategy.",
    columns=(
        _DAY,
        Column("strategy", pl.String, "strategy id"),
        Column("from_at", UTC_MS, "first moment compared", "UTC"),
        Column("until_at", UTC_MS, "last moment compared", "UTC"),
        Column("live_orders", pl.Int64, "orders that were filled live"),
        Column("ideal_orders", pl.Int64, "orders that were filled in the backtest"),
        Column("matched", pl.Int64, "decisions that were filled in both"),
        Column("live", EXACT, "what live fills earned", "quote"),
        Column("ideal", EXACT, "what the backtest's fills earned", "quote"),
        Column("compared_at", UTC_MS, "when", "UTC"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("day", "strategy"),
    partition_by="day",
)

FILLS = TableSpec(
    name="fills",
    meaning="Fills as the engine booked them.",
    columns=(
        _DAY,
        _SYMBOL,
        _MARKET,
        Column("trade_id", pl.String, "the venue's trade id"),
        Column("filled_at", UTC_MS, "when it traded", "UTC"),
        Column("client_order_id", pl.String, "the order"),
        Column("strategy", pl.String, "who wanted it, empty for a person", nullable=True),
        Column("side", pl.String, "BUY or SELL"),
        Column("price", EXACT, "price", "quote"),
        Column("quantity", EXACT, "quantity", "base"),
        Column("fee", EXACT, "fee", "fee asset"),
        Column("fee_asset", pl.String, "what the fee was paid in"),
        Column("journal_seq", pl.Int64, "the engine's journal sequence that booked it"),
        Column("leg", pl.String, "what the order was for: entry, exit, take_profit, stop_loss, ...", nullable=True),
        Column("order_type", pl.String, "MARKET, LIMIT or a conditional one", nullable=True),
        Column("time_in_force", pl.String, "GTC, IOC or FOK", nullable=True),
        Column("bar_open_at", UTC_MS, "the bar at whose close a strategy decided on it", "UTC", nullable=True),
    ),
    keys=("symbol", "market", "trade_id"),
    partition_by="day",
)

RECONCILIATIONS = TableSpec(
    name="reconciliations",
    meaning="Every comparison of engine, venue and warehouse.",
    columns=(
        Column("compared_at", UTC_MS, "when", "UTC"),
        Column("venue_breaks", pl.Int64, "differences of engine and venue"),
        Column("warehouse_breaks", pl.Int64, "differences of engine and warehouse"),
        Column("engine_fills", pl.Int64, "fills the engine knows"),
        Column("warehouse_fills", pl.Int64, "fills stored here"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("compared_at",),
)

BREAKS = TableSpec(
    name="breaks",
    meaning="Differences that are open now.",
    columns=(
        Column("parties", pl.String, "engine-venue or engine-warehouse"),
        Column("kind", pl.String, "what differs"),
        _SYMBOL,
        Column("subject", pl.String, "order, trade or asset"),
        Column("detail", pl.String, "the two figures"),
        Column("found_at", UTC_MS, "when it was first seen", "UTC"),
    ),
    keys=("parties", "kind", "symbol", "subject"),
)

TABLES: tuple[TableSpec, ...] = (
    UNIVERSE,
    UNIVERSE_MOVES,
    BARS,
    COVERAGE,
    FEATURE_ROWS,
    EVALUATIONS,
    PROMOTIONS,
    ALLOCATIONS,
    LEAGUE,
    FILLS,
    RECONCILIATIONS,
    BREAKS,
)

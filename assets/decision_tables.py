"""The stored tables of the decision rules, as ``tables.py`` has those of data and models."""

import polars as pl

from strategies.features import FEATURES
from warehouse.table_spec import UTC_MS, Column, TableSpec

_DAY = Column("day", pl.String, "UTC day of the row, the partition", "YYYY-MM-DD")
_SYMBOL = Column("symbol", pl.String, "instrument, BASEQUOTE.VENUE")
_MARKET = Column("market", pl.String, "spot or futures")
_INTERVAL = Column("interval", pl.String, "bar length")

SCREENINGS = TableSpec(
    name="screenings",
    meaning="Every screening, one row per symbol: its figures, whether it was picked, and why or why not.",
    columns=(
        _DAY,
        Column("screened_at", UTC_MS, "when", "UTC"),
        _SYMBOL,
        _MARKET,
        Column("side", pl.String, "LONG or SHORT where it was picked, empty where not"),
        Column("place", pl.Int64, "place among the picks of its side, 0 for none"),
        Column("alpha_long_bps", pl.Float64, "expected gain of buying, after costs", "bps", nullable=True),
        Column("alpha_short_bps", pl.Float64, "expected gain of selling, after costs", "bps", nullable=True),
        Column("score", pl.Float64, "weighted sum of the three below", "t", nullable=True),
        Column("momentum", pl.Float64, "drift without the newest bars", "t", nullable=True),
        Column("reversal", pl.Float64, "the newest bars' move, turned around", "t", nullable=True),
        Column("flow", pl.Float64, "volume of rising against falling bars", "t", nullable=True),
        Column("volatility_bps", pl.Float64, "standard deviation of returns", "bps/bar", nullable=True),
        Column("volatility_rank", pl.Float64, "place by volatility", "0-1", nullable=True),
        Column("turnover", pl.Float64, "traded value per bar", "quote", nullable=True),
        Column("spread_bps", pl.Float64, "spread of the book", "bps", nullable=True),
        Column("depth", pl.Float64, "value of the thinner side of the book's top", "quote", nullable=True),
        Column("imbalance", pl.Float64, "book's top, -1 all asks to 1 all bids", nullable=True),
        Column("reason", pl.String, "why it was picked or refused"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("screened_at", "symbol", "market"),
    partition_by="day",
)

SLIPPAGE_FITS = TableSpec(
    name="slippage_fits",
    meaning="Every attempt to learn slippage from our own fills, with its errors on orders it did not see.",
    columns=(
        Column("fitted_at", UTC_MS, "when", "UTC"),
        Column("verdict", pl.String, "FITTED, or REFUSED"),
        Column("reason", pl.String, "why it was refused, or which model is used and why"),
        Column("orders", pl.Int64, "orders learned from, or found"),
        Column("left_out", pl.Int64, "filled orders without enough bars before them"),
        Column("held_out", pl.Int64, "newest orders that judged", nullable=True),
        Column("rmse_bps", pl.Float64, "error of the mean on them", "bps", nullable=True),
        Column("baseline_rmse_bps", pl.Float64, "the same of a constant", "bps", nullable=True),
        Column("pinball_bps", pl.Float64, "quantile loss of the bad case on them", "bps", nullable=True),
        Column("baseline_pinball_bps", pl.Float64, "the same of a constant", "bps", nullable=True),
        Column("penalty", pl.Float64, "ridge penalty, by generalised cross-validation", nullable=True),
        Column("run_id", pl.String, "the Dagster run"),
        Column("left_out_brackets", pl.Int64, "orders of take-profits and stop-losses", nullable=True),
        Column("left_out_other", pl.Int64, "orders that no strategy decided on at a bar's close", nullable=True),
    ),
    keys=("fitted_at",),
)

SLIPPAGE_COEFFICIENTS = TableSpec(
    name="slippage_coefficients",
    meaning="The slippage models: basis points per unit of each term.",
    columns=(
        Column("fitted_at", UTC_MS, "the fit", "UTC"),
        Column("term", pl.String, "intercept, or a term of strategies/slippage.py"),
        Column("expected", pl.Float64, "coefficient of the mean", "bps"),
        Column("upper", pl.Float64, "coefficient of the bad case", "bps"),
    ),
    keys=("fitted_at", "term"),
)

SITUATION_HITS = TableSpec(
    name="situation_hits",
    meaning="Every situation that came, what was known then, and what became of it.",
    columns=(
        _DAY,
        Column("hit_at", UTC_MS, "close of the bar", "UTC"),
        Column("rule", pl.String, "rule of config/situations.yaml"),
        _SYMBOL,
        _MARKET,
        _INTERVAL,
        Column("direction", pl.Int64, "1 to buy, -1 to sell"),
        Column("priority", pl.Float64, "weight of the rule times that of the bandit"),
        Column(
            "novelty", pl.Float64, "distance to the nearest earlier hit, missing for the first", "sd", nullable=True
        ),
        Column("turnover", pl.Float64, "mean traded value of the bars before", "quote/bar"),
        Column("context", pl.String, "calm, usual or wild, among the volatility seen before"),
        Column("action", pl.String, "TAKE or SKIP, drawn with the propensity below"),
        Column("propensity", pl.Float64, "probability with which this action was drawn", "0-1"),
        Column("price", pl.Float64, "close of the bar", "quote"),
        Column("due_at", UTC_MS, "close of the bar that tells the outcome", "UTC"),
        Column("state", pl.String, "OPEN, DONE, or LOST where the bar never came"),
        Column("outcome_bps", pl.Float64, "what taking it earned after costs, unfunded", "bps", nullable=True),
        *(Column(name, pl.Float64, "see strategies/features.py") for name in FEATURES),
        Column("run_id", pl.String, "the Dagster run that found it"),
    ),
    keys=("hit_at", "rule", "symbol", "market", "interval"),
    partition_by="day",
)

SITUATION_LOOKS = TableSpec(
    name="situation_looks",
    meaning="Every look for situations, one row per rule: up to which bar, what was found and what was rejected.",
    columns=(
        _DAY,
        Column("looked_at", UTC_MS, "when", "UTC"),
        Column("rule", pl.String, "rule of config/situations.yaml"),
        _MARKET,
        _INTERVAL,
        Column("until_at", UTC_MS, "close of the newest bar that was looked at", "UTC"),
        Column("hits", pl.Int64, "found"),
        Column("too_thin", pl.Int64, "rejected by the depth gate"),
        Column("cooling_down", pl.Int64, "rejected by the cooldown"),
        Column("not_novel", pl.Int64, "rejected as seen before"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("looked_at", "rule", "market", "interval"),
    partition_by="day",
)

STRESS_TESTS = TableSpec(
    name="stress_tests",
    meaning="Tails of each version's policy over drawn markets, by symbol, and of the worst symbol (symbol ALL).",
    columns=(
        Column("stressed_at", UTC_MS, "when", "UTC"),
        Column("version", pl.String, "model version"),
        Column("symbol", pl.String, "instrument, ALL for the worst of them"),
        Column("source", pl.String, "model: its own Gaussians; bootstrap: recorded bars of its regimes"),
        Column("paths", pl.Int64, "paths behind the row"),
        Column("mean_return", pl.Float64, "mean over the paths, after costs", "share", nullable=True),
        Column(
            "value_at_risk", pl.Float64, "loss over a path at the level of config/stress.yaml", "share", nullable=True
        ),
        Column("shortfall", pl.Float64, "mean loss of the paths beyond it", "share", nullable=True),
        Column("worst", pl.Float64, "largest loss", "share", nullable=True),
        Column("drawdown", pl.Float64, "deepest drawdown at the same level", "share", nullable=True),
        Column("ruined_frac", pl.Float64, "share of ruined paths", "0-1", nullable=True),
        Column("turnover", pl.Float64, "mean change of exposure", "1/bar", nullable=True),
        Column("refused", pl.String, "why there is no tail"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("stressed_at", "version", "symbol", "source"),
)

POOLED_REGIMES = TableSpec(
    name="pooled_regimes",
    meaning="What all nodes know of each symbol's regimes, one row per node with its weight and distance.",
    columns=(
        _DAY,
        Column("pooled_at", UTC_MS, "when", "UTC"),
        Column("symbol", pl.String, "instrument"),
        Column("node", pl.String, "the node of the row"),
        Column("ours", pl.Boolean, "whether that is this node"),
        Column("version", pl.String, "model version behind its view"),
        Column("labels", pl.String, "the regimes, by comma"),
        Column("shares", pl.String, "the node's shares of the regimes, by comma"),
        Column("evidence", pl.Float64, "bars behind its view", "bars"),
        Column("weight", pl.Float64, "its weight in the pool, 0 if left out", "0-1"),
        Column("distance", pl.Float64, "Hellinger distance from the pool", "0-1", nullable=True),
        Column("left_out", pl.String, "why it was left out"),
        Column("pooled", pl.String, "the pooled shares, by comma"),
        Column("prior", pl.String, "the same, drawn to equal shares"),
        Column("drifting", pl.Boolean, "whether the node has been far from the pool for long"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("pooled_at", "symbol", "node"),
    partition_by="day",
)

BANDIT_PRIORITIES = TableSpec(
    name="bandit_priorities",
    meaning="Every decision of the bandit, one row per arm and context, with the propensities it acts by.",
    columns=(
        _DAY,
        Column("decided_at", UTC_MS, "when", "UTC"),
        Column("context", pl.String, "calm, usual or wild"),
        Column("arm", pl.String, "situation:RULE or strategy:NAME"),
        Column("count", pl.Int64, "outcomes of the arm in the context"),
        Column("mean_bps", pl.Float64, "believed mean, after costs", "bps"),
        Column("error_bps", pl.Float64, "its error", "bps"),
        Column("ucb_bps", pl.Float64, "upper confidence bound", "bps"),
        Column("propensity", pl.Float64, "share of attention in the context", "0-1"),
        Column("weight", pl.Float64, "the same beside an equal share"),
        Column("take", pl.Float64, "probability of taking it when it comes", "0-1"),
        Column("size_scale", pl.Float64, "share of full size that its weight allows", "0-1"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("decided_at", "context", "arm"),
    partition_by="day",
)

ADVICE = TableSpec(
    name="advice",
    meaning="What was advised about the strategies' entries, and whether the engine was told.",
    columns=(
        _DAY,
        Column("given_at", UTC_MS, "when", "UTC"),
        Column("kind", pl.String, "tactics or sizes"),
        _SYMBOL,
        Column("subject", pl.String, "BUY or SELL for tactics, the strategy for sizes"),
        Column("value", pl.String, "IOC_LIMIT, MARKET or SKIP; or the share of full size"),
        Column("reason", pl.String, "the figures behind a tactic"),
        Column("given", pl.Boolean, "whether the engine was told"),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("given_at", "kind", "symbol", "subject"),
    partition_by="day",
)

POLICY_PROPOSALS = TableSpec(
    name="policy_proposals",
    meaning="Every attempt to better the policy of taking situations, one row per context.",
    columns=(
        Column("proposed_at", UTC_MS, "when", "UTC"),
        Column("context", pl.String, "rule and volatility, ALL for a refusal"),
        Column("verdict", pl.String, "CANDIDATE, KEEP or REFUSED"),
        Column("reason", pl.String, "why"),
        Column("logged", pl.Int64, "rows of the log"),
        Column("champion_take", pl.Float64, "probability of taking it now", "0-1", nullable=True),
        Column("candidate_take", pl.Float64, "probability the candidate would take it with", "0-1", nullable=True),
        Column("advantage_bps", pl.Float64, "candidate minus champion, doubly robust", "bps/hit", nullable=True),
        Column("lower_bound_bps", pl.Float64, "its lower confidence bound", "bps/hit", nullable=True),
        Column("distance_nats", pl.Float64, "mean Kullback-Leibler distance", "nats", nullable=True),
        Column("run_id", pl.String, "the Dagster run"),
    ),
    keys=("proposed_at", "context"),
)

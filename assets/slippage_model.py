"""The slippage asset: what our own orders cost, by ``strategies/slippage.py``, and the tactic it suggests now."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets.decision_plots import scatter_picture
from assets.decision_settings import DecisionSettings, SlippageSettings
from assets.decision_tables import SLIPPAGE_COEFFICIENTS, SLIPPAGE_FITS
from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.executions import (
    BRACKET,
    DECIDED,
    OTHER,
    Array,
    Executions,
    conditions_now,
    executions,
    filled_orders,
    histories,
)
from assets.intervals import utc
from assets.ports import Clock
from assets.settings import ResearchSettings
from assets.universe import UniverseEmpty, active_symbols
from strategies.slippage import (
    TERMS,
    Line,
    SlippageModel,
    SlippageReport,
    TooFewFills,
    choose_tactic,
    fit_slippage,
)
from warehouse.store import Warehouse

FITTED, REFUSED = "FITTED", "REFUSED"


@dg.asset(
    deps=["fills", "bars"],
    group_name="decisions",
    kinds={"python", "matplotlib"},
    owners=OWNERS,
    metadata=columns_of(SLIPPAGE_FITS),
)
def slippage_model(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    decision_settings: dg.ResourceParam[DecisionSettings],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """What an order costs beyond its price, by spread, size, volatility, side and hour, and how to send one now.

    With too few filled orders nothing is learned: the refusal, with its figures, is what is recorded.
    """
    watch = Stopwatch()
    now_ms = clock.now_ms()
    rules = decision_settings.slippage
    orders = filled_orders(warehouse, settings)
    found = learnable(warehouse, settings, orders, rules)
    at = utc(now_ms)
    pages: dict[str, Any] = {"paid": dg.MetadataValue.md(orders_picture(found))} if found.order_ids else {}
    try:
        model, report = fit_slippage(found.conditions, found.slippage_bps, rules.options())
    except TooFewFills as refusal:
        row = refused_row(str(refusal), found, orders)
    else:
        row = fitted_row(report, found, orders)
        warehouse.writer(SLIPPAGE_COEFFICIENTS).upsert(coefficient_rows(model, at))
        pages |= {
            "coefficients": as_table(coefficient_rows(model, at).drop("fitted_at").to_dicts()),
            "tactics": as_table(_tactics_now(warehouse, settings, rules, model, now_ms)),
            "expected_and_paid": dg.MetadataValue.md(paid_picture(found, model)),
        }
    rows = pl.DataFrame([{"fitted_at": at, **row, "run_id": context.run_id}], schema=SLIPPAGE_FITS.schema)
    warehouse.writer(SLIPPAGE_FITS).upsert(rows)
    context.log.info(f"{row['verdict']}: {row['reason']}")
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, SLIPPAGE_FITS, watch, time_column="fitted_at"),
            "verdict": row["verdict"],
            "reason": row["reason"],
            "fit": as_table(rows.drop("run_id").to_dicts()),
            **pages,
        }
    )


def learnable(
    warehouse: Warehouse, settings: ResearchSettings, orders: pl.DataFrame, rules: SlippageSettings
) -> Executions:
    """Return the newest orders that slippage can be learned from: those that a strategy decided on at a bar's close."""
    decided = orders.filter(pl.col("kind") == DECIDED).tail(rules.max_orders)
    return executions(warehouse, settings, decided, window=rules.window_bars)


def refused_row(reason: str, found: Executions, orders: pl.DataFrame) -> dict[str, Any]:
    """Return the record of an attempt that learned nothing."""
    missing = ("held_out", "rmse_bps", "baseline_rmse_bps", "pinball_bps", "baseline_pinball_bps", "penalty")
    counts = {"orders": len(found.order_ids), **_left_out(found, orders)}
    return {"verdict": REFUSED, "reason": reason, **counts, **dict.fromkeys(missing)}


def fitted_row(report: SlippageReport, found: Executions, orders: pl.DataFrame) -> dict[str, Any]:
    """Return the record of a fit, with which of regression and constant is used."""
    reason = (
        f"mean by {report.kind} (off by {report.rmse_bps:.2f} bps with the regression, {report.baseline_rmse_bps:.2f} "
        f"with a constant), bad case by {report.upper_kind}"
    )
    figures = asdict(report)
    kept = {name: figures[name] for name in SLIPPAGE_FITS.schema if name in figures}
    return {"verdict": FITTED, "reason": reason, **kept, **_left_out(found, orders)}


def _left_out(found: Executions, orders: pl.DataFrame) -> Mapping[str, int]:
    kinds = orders["kind"].to_list()
    return {
        "left_out": found.left_out,
        "left_out_brackets": kinds.count(BRACKET),
        "left_out_other": kinds.count(OTHER),
    }


def coefficient_rows(model: SlippageModel, at: datetime) -> pl.DataFrame:
    """Return a model as rows of its table."""
    names = ("intercept", *TERMS)
    columns = {
        name: [line.intercept, *line.coefficients]
        for name, line in (("expected", model.expected), ("upper", model.upper))
    }
    rows = {"fitted_at": [at] * len(names), "term": list(names), **columns}
    return pl.DataFrame(rows, schema=SLIPPAGE_COEFFICIENTS.schema)


def stored_model(warehouse: Warehouse) -> SlippageModel | None:
    """Return the newest model, ``None`` where none was ever learned."""
    rows = warehouse.reader(SLIPPAGE_COEFFICIENTS).read()
    if rows.is_empty():
        return None
    newest = rows.filter(pl.col("fitted_at") == pl.col("fitted_at").max())
    by_term = {row["term"]: row for row in newest.iter_rows(named=True)}

    def line(column: str) -> Line:
        return Line(intercept=by_term["intercept"][column], coefficients=tuple(by_term[term][column] for term in TERMS))

    return SlippageModel(expected=line("expected"), upper=line("upper"))


def _tactics_now(
    warehouse: Warehouse, settings: ResearchSettings, rules: SlippageSettings, model: SlippageModel, now_ms: int
) -> list[dict[str, Any]]:
    try:
        return tactics(warehouse, settings, rules, model, now_ms)
    except UniverseEmpty:
        return []


def tactics(
    warehouse: Warehouse, settings: ResearchSettings, rules: SlippageSettings, model: SlippageModel, now_ms: int
) -> list[dict[str, Any]]:
    """Return how an order of the usual size would go out now, for every active symbol and both sides."""
    symbols: Sequence[str] = active_symbols(warehouse, settings)
    past = histories(
        warehouse,
        settings,
        symbols,
        window=rules.window_bars,
        from_ms=now_ms - 2 * rules.window_bars * settings.bar_ms,
        until_ms=now_ms,
    )
    rows = []
    for symbol in (name for name in symbols if name in past):
        for side in ("BUY", "SELL"):
            asked = conditions_now(past[symbol], notional=rules.order_notional, buy=side == "BUY", now_ms=now_ms)
            expected, upper = float(model.expected.at(asked)[0]), float(model.upper.at(asked)[0])
            choice = choose_tactic(expected, rules.options())
            figures = {"symbol": symbol, "side": side, "expected_bps": expected, "bad_case_bps": upper}
            rows.append({**figures, "tactic": choice.tactic.value, "reason": choice.reason})
    return rows


def paid_picture(found: Executions, model: SlippageModel) -> str:
    """Return Markdown with what the model expects of each order against what it cost."""
    points = _by_side(found, model.expected.at(found.conditions))
    return scatter_picture("slippage of our orders", points, "expected, basis points", "paid, basis points")


def orders_picture(found: Executions) -> str:
    """Return Markdown with what each order cost by the spread before it: to see what there is to learn from."""
    points = _by_side(found, found.conditions.spread_bps)
    return scatter_picture("what our orders paid", points, "spread before, basis points", "paid, basis points")


def _by_side(found: Executions, across: Array) -> dict[str, tuple[Array, Array]]:
    buys = found.conditions.buy > 0
    sides = (("buys", buys), ("sells", np.logical_not(buys)))
    return {name: (across[which], found.slippage_bps[which]) for name, which in sides}

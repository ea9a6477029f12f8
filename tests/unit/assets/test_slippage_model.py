"""Our own fills against the bars before them: what an order cost, what was known, and what is learned or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.decision_settings import SlippageSettings
from assets.decision_tables import SLIPPAGE_COEFFICIENTS
from assets.executions import Executions, filled_orders
from assets.fills import fill_frame, stored_seq
from assets.slippage_model import (
    REFUSED,
    coefficient_rows,
    fitted_row,
    learnable,
    paid_picture,
    refused_row,
    stored_model,
    tactics,
)
from assets.tables import FILLS, UNIVERSE
from orchestration.environment import load
from strategies.slippage import SlippageOptions, TooFewFills, choose_tactic, fit_slippage
from tests.unit.assets.bars import START, STEP, SYMBOL, bars, stored
from warehouse.store import Warehouse

WINDOW = 20
RULES: SlippageSettings = load({}).decisions.slippage
RESEARCH = load({}).research


def fill(seq: int, minute: float, price: float, **changes: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "at_ms": START + int(minute * STEP),
        "symbol": SYMBOL,
        "market": "spot",
        "trade_id": str(seq),
        "client_order_id": f"order{seq}",
        "strategy": "ma_cross",
        "side": "BUY",
        "price": f"{price:.8f}",
        "quantity": "0.5",
        "fee": "0.05",
        "fee_asset": "USDT",
        "provisional": False,
        "leg": "entry",
        "type": "MARKET",
        "time_in_force": "GTC",
        "bar_open_ms": START + (int(minute) - 1) * STEP,
        **changes,
    }


def filled(store: Warehouse, *fills: dict[str, Any]) -> Warehouse:
    store.writer(FILLS).upsert(fill_frame(fills))
    return store


def found(store: Warehouse) -> Executions:
    return learnable(store, RESEARCH, filled_orders(store, RESEARCH), RULES.model_copy(update={"window_bars": WINDOW}))


def test_slippage_is_the_average_fill_against_the_last_close_before_it(tmp_path: Path) -> None:
    made = bars(200)
    close = made["close"].to_list()
    store = stored(Warehouse(tmp_path), made)
    parts = [
        fill(1, 100.5, close[99] * 1.001, client_order_id="a"),
        fill(2, 100.9, close[99] * 1.003, client_order_id="a"),
    ]
    sale = fill(3, 120.2, close[119] * 1.001, side="SELL")
    orders = found(filled(store, *parts, sale))
    np.testing.assert_allclose(orders.slippage_bps, [20.0, -10.0], rtol=1e-5)
    assert orders.conditions.buy.tolist() == [1.0, 0.0]
    np.testing.assert_allclose(orders.conditions.hour, [100.5 / 60, 120.2 / 60])
    turnover = np.mean(made["quote_volume"].to_list()[80:100])
    np.testing.assert_allclose(orders.conditions.size_share[0], close[99] * 1.002 / turnover, rtol=1e-6)
    steps = np.diff(np.log(close[79:100]))
    np.testing.assert_allclose(orders.conditions.volatility_bps[0], steps.std(ddof=1) * 1e4)


def test_nothing_after_the_order_changes_what_was_known_before_it(tmp_path: Path) -> None:
    made = bars(200)
    later = made.with_columns(
        pl.when(pl.col("open_at") >= datetime(2026, 3, 1, 1, 40, tzinfo=UTC))
        .then(pl.col("close", "high", "low", "quote_volume") * 3)
        .otherwise(pl.col("close", "high", "low", "quote_volume"))
    )
    order = fill(1, 100.5, 100.0)
    one = found(filled(stored(Warehouse(tmp_path / "a"), made), order))
    two = found(filled(stored(Warehouse(tmp_path / "b"), later), order))
    assert one.slippage_bps.tolist() == two.slippage_bps.tolist()
    np.testing.assert_array_equal(one.conditions.design(), two.conditions.design())


@pytest.mark.parametrize("minute", [5.5, 130.5, 203.0, 240.0])
def test_an_order_without_sound_bars_before_it_is_left_out_and_counted(tmp_path: Path, minute: float) -> None:
    store = stored(Warehouse(tmp_path), bars(200, without=frozenset({120})))
    orders = found(filled(store, fill(1, minute, 100.0), fill(2, 100.5, 100.0)))
    assert (len(orders.order_ids), orders.left_out) == (1, 1)


def many(store: Warehouse, count: int) -> Warehouse:
    """Fill orders that pay half a basis point per basis point of volatility and nothing else."""
    made = bars(count + 50)
    stored(store, made)
    close = made["close"].to_numpy()
    chance = np.random.default_rng(3)
    fills = []
    for number in range(count):
        at = 40 + number
        volatility = np.diff(np.log(close[at - 21 : at])).std(ddof=1)
        side, direction = ("BUY", 1) if number % 2 else ("SELL", -1)
        paid = 0.5 * volatility + chance.normal(0.0, 1e-4)
        fills.append(fill(number + 1, at + 0.3, close[at - 1] * (1 + direction * paid), side=side))
    return filled(store, *fills)


def test_a_planted_cost_of_volatility_is_learned_from_the_warehouse_and_comes_back_from_its_table(
    tmp_path: Path,
) -> None:
    store = many(Warehouse(tmp_path), 600)
    orders = found(store)
    model, report = fit_slippage(orders.conditions, orders.slippage_bps, RULES.options())
    assert report.rmse_bps < 0.5 * report.baseline_rmse_bps
    wild, calm = np.argmax(orders.conditions.volatility_bps), np.argmin(orders.conditions.volatility_bps)
    expected = model.expected.at(orders.conditions)
    spread = orders.conditions.volatility_bps[wild] - orders.conditions.volatility_bps[calm]
    assert expected[wild] - expected[calm] == pytest.approx(0.5 * spread, rel=0.2)
    store.writer(SLIPPAGE_COEFFICIENTS).upsert(coefficient_rows(model, datetime(2026, 3, 1, tzinfo=UTC)))
    assert stored_model(store) == model
    assert paid_picture(orders, model).startswith("![slippage of our orders")
    place = {
        "symbol": SYMBOL, "market": "spot", "bucket": "ACTIVE", "reason": "", "clean_scans": 1,
        "since_at": datetime(2026, 3, 1, tzinfo=UTC), "first_seen_at": datetime(2026, 3, 1, tzinfo=UTC),
        "scanned_at": datetime(2026, 3, 1, tzinfo=UTC), "turnover_24h": 1.0, "last_price": 1.0,
    }  # fmt: skip
    store.writer(UNIVERSE).upsert(pl.DataFrame([place], schema=UNIVERSE.schema))
    shown = tactics(store, RESEARCH, RULES, model, START + 650 * STEP)
    assert [row["side"] for row in shown] == ["BUY", "SELL"]
    assert [row["tactic"] for row in shown] == [
        choose_tactic(row["expected_bps"], RULES.options()).tactic.value for row in shown
    ]


def test_too_few_fills_are_a_refusal_with_its_figures_and_no_model(tmp_path: Path) -> None:
    orders = found(many(Warehouse(tmp_path), 30))
    with pytest.raises(TooFewFills) as refused:
        fit_slippage(orders.conditions, orders.slippage_bps, SlippageOptions())
    row = refused_row(str(refused.value), orders, filled_orders(Warehouse(tmp_path), RESEARCH))
    assert row["verdict"] == REFUSED
    assert row["reason"] == "TOO_FEW_FILLS: 30 orders of at least 200"
    assert row["rmse_bps"] is None


#: What is no decision of a strategy at a bar's close that took what the market gave: what the wire says differently.
NOT_DECIDED: dict[str, dict[str, Any]] = {
    "take_profit": {"leg": "take_profit", "type": "LIMIT", "bar_open_ms": None},
    "stop_loss": {"leg": "stop_loss"},
    "unprotected": {"leg": "unprotected", "bar_open_ms": None},
    "resting": {"type": "LIMIT"},
    "conditional": {"type": "STOP_MARKET"},
    "person": {"strategy": "manual", "bar_open_ms": None},
    "signal from outside": {"bar_open_ms": None},
    "flatten": {"strategy": "manual", "leg": "flatten", "bar_open_ms": None},
}


@pytest.mark.parametrize("changes", NOT_DECIDED.values(), ids=NOT_DECIDED)
def test_an_order_whose_price_no_close_decided_is_not_learned_from_and_counted(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    store = stored(Warehouse(tmp_path), bars(200))
    ioc = fill(2, 101.5, 100.0, type="LIMIT", time_in_force="IOC")
    filled(
        store, fill(1, 100.5, 100.0), ioc, fill(3, 110.5, 108.0, leg="exit", side="SELL"), fill(4, 120.5, 90, **changes)
    )
    orders = found(store)
    assert orders.order_ids == ("order1", "order2", "order3")
    row = refused_row("", orders, filled_orders(store, RESEARCH))
    in_bracket = changes.get("leg") in ("take_profit", "stop_loss", "unprotected")
    assert (row["left_out_brackets"], row["left_out_other"]) == (int(in_bracket), int(not in_bracket))


def test_brackets_at_their_distance_do_not_change_what_is_learned(tmp_path: Path) -> None:
    store = many(Warehouse(tmp_path), 300)
    orders = found(store)
    model, _ = fit_slippage(orders.conditions, orders.slippage_bps, RULES.options())
    close = bars(350)["close"].to_list()
    exits = [
        fill(1000 + at, at + 0.6, close[at - 1] * (1.008 if at % 2 else 0.992), side="SELL", **NOT_DECIDED[leg])
        for at, leg in zip(range(50, 300), ["take_profit", "stop_loss"] * 125, strict=True)
    ]
    orders = found(filled(store, *exits))
    again, report = fit_slippage(orders.conditions, orders.slippage_bps, RULES.options())
    assert again == model
    row = fitted_row(report, orders, filled_orders(store, RESEARCH))
    assert (row["orders"], row["left_out_brackets"], row["left_out_other"]) == (300, 250, 0)


def stored_before_legs_were(folder: Path, *fills: dict[str, Any]) -> Warehouse:
    """Fills as a build wrote them that knew no legs."""
    gone = ("leg", "order_type", "time_in_force", "bar_open_at")
    older = replace(FILLS, columns=tuple(column for column in FILLS.columns if column.name not in gone))
    store = Warehouse(folder)
    store.writer(older).upsert(fill_frame(fills).drop(gone))
    return store


def test_fills_stored_before_legs_were_are_left_out_and_read_from_the_engine_again(tmp_path: Path) -> None:
    class Engine:
        def get_portfolio(self) -> dict[str, Any]:
            return {"seq": 9}

    fills = [fill(1, 100.5, 100.0), fill(2, 101.5, 100.0)]
    store = stored(stored_before_legs_were(tmp_path, *fills), bars(200))
    assert found(store).order_ids == ()
    assert filled_orders(store, RESEARCH)["kind"].to_list() == ["other", "other"]
    engine: Any = Engine()
    assert stored_seq(store, engine) == 0
    assert found(filled(store, *fills)).order_ids == ("order1", "order2")
    assert stored_seq(store, engine) == 2


def test_without_fills_there_are_no_orders(tmp_path: Path) -> None:
    assert found(stored(Warehouse(tmp_path), bars(50))).order_ids == ()

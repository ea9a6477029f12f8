"""The main job, end to end: what the demo says is held against what exchange, engine and disk say."""

from __future__ import annotations

import re
from decimal import Decimal

import httpx
import pytest

from assets.tables import PARITY_DAYS
from tests.e2e.conftest import RunningDemo
from warehouse.store import Warehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _get(demo: RunningDemo, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {demo.token('read')}"}
    return httpx.get(demo.engine_url + path, headers=headers, timeout=10, trust_env=False).raise_for_status()


def test_it_trades_several_symbols_without_a_break(demo: RunningDemo) -> None:
    assert demo.result["fills"] >= 10
    assert len(demo.result["symbols_traded"]) >= 4
    assert demo.result["breaks"] == 0


def test_the_engine_sees_the_true_regimes(demo: RunningDemo) -> None:
    assert demo.result["regime_agreement"] >= 0.8


def test_every_dagster_run_succeeded_and_a_model_was_promoted(demo: RunningDemo) -> None:
    assert set(demo.result["runs"]) == {"SUCCESS"}
    assert re.fullmatch(r"rm-[0-9a-f]{12}", demo.result["model_version"])


def test_live_decisions_are_those_of_the_backtest_of_the_same_bars(demo: RunningDemo) -> None:
    days = Warehouse(demo.home / "warehouse").reader(PARITY_DAYS).read()
    assert days["matched"].sum() >= max(3, days["ideal_orders"].sum() // 2)
    assert sum(demo.result["parity"].values()) == pytest.approx(float((days["live"] - days["ideal"]).sum()), abs=1e-3)


def test_every_fill_of_the_engine_is_a_trade_of_the_exchange(demo: RunningDemo) -> None:
    exchange = str(demo.result["urls"]["exchange"])
    ledger = httpx.get(exchange, timeout=10, trust_env=False).raise_for_status().json()
    known = {order["client_order_id"]: Decimal(order["executed_quantity"]) for order in ledger["orders"]}
    for order in _get(demo, "/orders?limit=200").json()["orders"]:
        if Decimal(order["filled_quantity"]):
            assert known[order["client_order_id"]] >= Decimal(order["filled_quantity"])


def test_equity_is_explained_to_the_last_digit(demo: RunningDemo) -> None:
    text = _get(demo, "/metrics").text
    match = re.search(r"^nhmm_equity_identity_error (\S+)$", text, re.MULTILINE)
    assert match is not None
    assert float(match.group(1)) == 0.0


def test_the_report_works_offline(demo: RunningDemo) -> None:
    page = (demo.home / "demo" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 4
    assert not re.search(r"""(?:src|href)=["']https?:""", page)


def test_a_fill_leads_back_to_its_signal_and_model(demo: RunningDemo) -> None:
    orders = _get(demo, "/orders?limit=200").json()["orders"]
    order = next(order for order in orders if order["strategy"] != "manual" and order["status"] == "FILLED")
    detail = _get(demo, f"/orders/{order['client_order_id']}").json()
    assert detail["history"]
    assert detail["order"]["why"]

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from engine_service.exchange_sim.binance_wire.sim_admin import make_admin_router
from engine_service.exchange_sim.enums import Market, Side
from tests.unit.engine_service.exchange_sim.market_floor import (
    ALICE,
    BOB,
    Floor,
    limit_order,
    market_order,
    refusal,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.fixture
async def client(floor: Floor) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(make_admin_router(floor.exchange))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as http:
        yield http


async def test_the_ledger_tells_every_order_and_trade_with_decimals_as_text(
    floor: Floor, client: httpx.AsyncClient
) -> None:
    floor.freeze()
    ticket = market_order(Side.BUY, "0.010", client_order_id="mine")
    order, fills = floor.exchange.orders.place(ALICE, ticket)
    floor.exchange.orders.place(BOB, limit_order(Side.BUY, "0.02", floor.best(Side.BUY) - 50))
    told = (await client.get("/_sim/ledger")).json()
    mine = next(o for o in told["orders"] if o["account"] == ALICE)
    assert {k: mine[k] for k in ("market", "symbol", "order_id", "client_order_id", "side", "type", "status")} == {
        "market": "spot",
        "symbol": "BTCUSDT",
        "order_id": order.order_id,
        "client_order_id": "mine",
        "side": "BUY",
        "type": "MARKET",
        "status": "FILLED",
    }
    assert (mine["quantity"], mine["executed_quantity"]) == ("0.01", "0.01")
    trade = told["trades"][0]
    assert (trade["trade_id"], trade["order_id"]) == (fills[0].trade_id, order.order_id)
    assert (Decimal(trade["price"]), Decimal(trade["fee"])) == (fills[0].price, fills[0].fee)
    assert (trade["quantity"], trade["fee_asset"]) == ("0.01", "BTC")
    assert trade["at"].endswith("+00:00")
    assert {"account": ALICE, "market": "spot", "asset": "USDT", "amount": "1000000"} in told["deposits"]
    assert {"market": "spot", "asset": "BTC", "amount": "0.00001"} in told["fees"]
    locked = next(b for b in told["balances"] if (b["account"], b["asset"], b["market"]) == (BOB, "USDT", "spot"))
    assert Decimal(locked["locked"]) > 0
    assert [o["account"] for o in (await client.get("/_sim/ledger?account=bob")).json()["orders"]] == [BOB]


async def test_faults_are_set_listed_and_lifted(floor: Floor, client: httpx.AsyncClient) -> None:
    one = (await client.post("/_sim/faults", json={"kind": "delay", "delay_ms": 5, "count": 3})).json()
    two = (await client.post("/_sim/faults", json=[{"kind": "maintenance"}, {"kind": "drop_after"}])).json()
    assert (one["kind"], one["count"], len(two["faults"])) == ("delay", 3, 2)
    assert len((await client.get("/_sim/faults")).json()["faults"]) == 3
    assert (await client.delete(f"/_sim/faults/{one['fault_id']}")).json() == {"cleared": 1}
    assert (await client.delete("/_sim/faults")).json() == {"cleared": 2}
    assert (await client.delete("/_sim/faults/99")).status_code == 404
    assert floor.exchange.faults.listed() == ()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "explode"},
        {"kind": "delay"},
        {"kind": "clock_skew"},
        {"kind": "error", "count": 0},
        {"kind": "error", "probability": 1.5},
        {"kind": "error", "http_status": 200},
        {"kind": "error", "colour": "red"},
        {"kind": "withhold", "delay_ms": -1},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(
    floor: Floor, client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert (await client.post("/_sim/faults", json=body)).status_code == 422
    assert floor.exchange.faults.listed() == ()


async def test_the_market_obeys_and_refuses_nonsense(floor: Floor, client: httpx.AsyncClient) -> None:
    before = floor.exchange.market_data.last_price(Market.SPOT, "BTCUSDT")
    answer = await client.post("/_sim/market", json={"jump": 0.1, "symbol": "BTCUSDT", "volatility": 2})
    assert answer.json() == {"frozen": False, "volatility": 2.0}
    floor.run(400)
    after = floor.exchange.market_data.last_price(Market.SPOT, "BTCUSDT")
    assert math.isclose(after / before, 1.1, rel_tol=0.01)
    assert (await client.post("/_sim/market", json={"freeze": True})).json()["frozen"] is True
    assert (await client.post("/_sim/market", json={"jump": 0.1, "symbol": "FOO"})).status_code == 404
    for nonsense in ({}, {"jump": -1}, {"volatility": -1}, {"freeze": "maybe"}, {"crash": 1}):
        assert (await client.post("/_sim/market", json=nonsense)).status_code == 422


async def test_new_increments_are_published_and_asked_of_new_orders_while_the_market_goes_on(
    floor: Floor, client: httpx.AsyncClient
) -> None:
    data, orders = floor.exchange.market_data, floor.exchange.orders
    resting, _ = orders.place(ALICE, limit_order(Side.BUY, "0.02", floor.best(Side.BUY) - Decimal("50.01")))
    before = data.last_price(Market.SPOT, "BTCUSDT")
    assert (await client.post("/_sim/market", json={"symbol": "BTCUSDT", "tick_size": "0.1"})).status_code == 200
    assert {data.spec(market, "BTCUSDT").tick_size for market in Market} == {Decimal("0.1")}
    floor.run(2000)
    assert math.isclose(data.last_price(Market.SPOT, "BTCUSDT") / before, 1, rel_tol=0.05)
    price = floor.best(Side.BUY).quantize(Decimal("0.1")) - 40
    assert refusal(lambda: orders.place(ALICE, limit_order(Side.BUY, "0.01", price + Decimal("0.05"))))[0] == -1013
    orders.place(ALICE, limit_order(Side.BUY, "0.01", price))
    assert orders.place(ALICE, market_order(Side.BUY, "0.01"))[1]
    assert orders.cancel(ALICE, Market.SPOT, "BTCUSDT", order_id=resting.order_id)
    floor.assert_conserved()
    for body in ({"symbol": "BTCUSDT", "tick_size": "0.015"}, {"symbol": "BTCUSDT", "step_size": "0.000001"}):
        assert (await client.post("/_sim/market", json=body)).status_code == 409
    assert (await client.post("/_sim/market", json={"tick_size": "0.1"})).status_code == 422


async def test_deposits_and_withdrawals_move_one_wallet(floor: Floor, client: httpx.AsyncClient) -> None:
    body = {"account": ALICE, "market": "spot", "asset": "SOL", "amount": "2.5"}
    assert (await client.post("/_sim/deposit", json=body)).status_code == 200
    assert floor.free(ALICE, "SOL") == Decimal("2.5")
    assert (await client.post("/_sim/deposit", json=body | {"amount": "-3"})).status_code == 409
    assert (await client.post("/_sim/deposit", json=body | {"account": "eve"})).status_code == 404
    assert (await client.post("/_sim/deposit", json=body | {"amount": "1e99"})).status_code == 422
    futures = body | {"market": "futures", "asset": "USDT", "amount": "-1000"}
    assert (await client.post("/_sim/deposit", json=futures)).status_code == 200
    assert (await client.post("/_sim/deposit", json=futures | {"amount": "-1000000"})).status_code == 409
    floor.assert_conserved()


async def test_the_true_regime_of_every_closed_second_is_told_by_number_and_name(
    floor: Floor, client: httpx.AsyncClient
) -> None:
    floor.run(5300)
    rows = (await client.get("/_sim/regimes")).json()
    bars = floor.exchange.market_data.klines(Market.SPOT, "BTCUSDT", "1s", limit=1000)[:-1]
    assert [row["ts"] for row in rows] == [bar.open_ms for bar in bars]
    names = ("bear", "calm", "bull")
    assert all(row["name"] == names[row["regime"]] for row in rows)
    span = (await client.get("/_sim/regimes", params={"start_ms": rows[3]["ts"] - 1, "end_ms": rows[5]["ts"]})).json()
    assert span == rows[3:6]

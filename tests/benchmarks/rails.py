"""The rails alone: how many orders a second the gate judges, with many instruments and many open orders."""

from __future__ import annotations

import asyncio
import statistics
import time
from decimal import Decimal

from msgspec.structs import replace

from engine_service.domain.ids import Market
from engine_service.domain.marks import Mark
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.prepare import risk_context
from engine_service.execution.submit import submit
from engine_service.risk.context import RiskContext
from engine_service.risk.gate import Approved
from tests.benchmarks.row import Row
from tests.fakes.engine import make_core, mark_of, policy
from tests.fakes.venue import INSTRUMENTS

SYMBOLS = 500
OPEN_ORDERS = 1_000
CHECKS = 20_000
ROUNDS = 5
GOAL = 50_000.0
PRICE = Decimal(100)


def measure() -> dict[str, Row]:
    """Judge prepared orders of every instrument in turn; the peer is the goal.

    Raises:
        RuntimeError: an order was refused: then not every rail was asked.
    """
    core = asyncio.run(_busy_core())
    orders = [risk_context(core, _order(number, OrderSide.BUY, "97")) for number in range(SYMBOLS)]
    return {"rails": Row(statistics.median(_checks_per_second(core, orders) for _ in range(ROUNDS)), GOAL, "checks/s")}


def _checks_per_second(core: EngineCore, orders: list[RiskContext]) -> float:
    check = core.gate.check
    began = time.perf_counter()
    verdicts = [check(orders[number % SYMBOLS]) for number in range(CHECKS)]
    took = time.perf_counter() - began
    if not all(isinstance(verdict, Approved) for verdict in verdicts):
        raise RuntimeError("a rail refused an order of the benchmark")
    return CHECKS / took


async def _busy_core() -> EngineCore:
    core = make_core(
        cash=Decimal(100_000_000),
        limits=policy(order_rate_per_min="10000000", max_notional="100000000", max_in_doubt="1000"),
    )
    venue = core.venues["BINANCE"]
    rules = [replace(INSTRUMENTS[0], symbol=_symbol(number), base=f"C{number}") for number in range(SYMBOLS)]
    core.instruments |= {(rule.symbol, rule.market): rule for rule in rules}
    for rule in rules:
        venue.prices[rule.symbol] = PRICE  # type: ignore[attr-defined]  # the fake's own
        mark = Mark(symbol=rule.symbol, market=Market.SPOT, bid=PRICE, ask=PRICE, at_s=core.clock.monotonic_s())
        core.marks.update(mark)
    for number in range(OPEN_ORDERS):
        await submit(core, _order(number, OrderSide.BUY, f"{95 + number // SYMBOLS}"), mark_of())
    if len(core.state.open_orders) != OPEN_ORDERS:
        raise RuntimeError("the open orders of the benchmark do not rest")
    return core


def _symbol(number: int) -> str:
    return f"C{number}USDT.BINANCE"


def _order(number: int, side: OrderSide, price: str) -> OrderRequest:
    return OrderRequest(
        symbol=_symbol(number % SYMBOLS),
        market=Market.SPOT,
        side=side,
        type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        limit_price=Decimal(price),
    )

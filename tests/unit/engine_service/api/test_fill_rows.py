"""What a list of fills says of the orders behind them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine_service.api.portfolio import fill_rows
from engine_service.domain.order import OrderRequest
from engine_service.execution.submit import submit
from engine_service.storage.port import FillFilter
from tests.fakes.engine import make_core, mark_of, market_order

pytestmark = pytest.mark.anyio

AT_CLOSE = {"bar_open_ms": "1700000000000", "mark": "60000"}


@pytest.mark.parametrize(
    ("order", "leg", "bar_open_ms"),
    [
        (market_order("0.002"), "entry", None),
        (replace(market_order("0.002"), strategy="ma_cross", why=AT_CLOSE), "entry", 1_700_000_000_000),
        (replace(market_order("0.002"), strategy="ma_cross", why={**AT_CLOSE, "source": "external"}), "entry", None),
        (replace(market_order("0.002"), strategy="ma_cross", leg="stop_loss", why={"bracket": "x"}), "stop_loss", None),
    ],
    ids=["person", "strategy", "signal from outside", "bracket"],
)
async def test_a_fill_tells_its_orders_leg_and_the_bar_whose_close_decided_it(
    order: OrderRequest, leg: str, bar_open_ms: int | None
) -> None:
    core = make_core()
    sent = await submit(core, order, mark_of())
    (row,) = fill_rows(core.journal, FillFilter(client_order_id=sent.order.client_order_id))
    assert (row["leg"], row["bar_open_ms"]) == (leg, bar_open_ms)
    assert (row["type"], row["time_in_force"], row["strategy"]) == ("MARKET", "GTC", order.strategy)

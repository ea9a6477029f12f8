"""The typed client's order methods against a running engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from engine_service.client.client import EngineClient
from engine_service.client.errors import RequestInvalid
from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange

ETH = "ETHUSDT.BINANCE"


@pytest.fixture
def client(engine: EngineProcess, exchange: SimulatedExchange) -> Iterator[EngineClient]:
    exchange.market(volatility=0)
    with EngineClient(engine.url, engine.token("trade")) as found:
        yield found
        found.cancel_orders(symbol=ETH)


def price(client: EngineClient, factor: str) -> Decimal:
    mark = next(Decimal(row["mark"]) for row in client.get_prices() if row["symbol"] == ETH)
    return (mark * Decimal(factor)).quantize(Decimal("0.01"))


def test_an_order_is_checked_placed_changed_and_cancelled(client: EngineClient) -> None:
    asked = client.check_order("limit", ETH, "BUY", quantity="0.02", price=str(price(client, "0.99")))
    assert asked["accepted"], asked
    placed = client.place_limit_order(ETH, "BUY", Decimal("0.02"), price(client, "0.99"))["order"]
    smaller = client.amend_order(placed["client_order_id"], quantity=Decimal("0.01"))
    assert Decimal(smaller["order"]["quantity"]) == Decimal("0.01")
    gone = client.cancel_orders(symbol=ETH)
    assert [order["client_order_id"] for order in gone] == [placed["client_order_id"]]


def test_a_bracket_and_a_stop_are_placed(client: EngineClient) -> None:
    away = Decimal(200)
    found = client.place_bracket(ETH, "BUY", quantity=Decimal("0.02"), take_profit_bps=away, stop_loss_bps=away)
    assert found["bracket"]["protected"], found
    client.cancel_orders(symbol=ETH)
    stop = client.place_stop_order(ETH, "SELL", Decimal("0.01"), price(client, "0.98"), price=price(client, "0.975"))
    assert (stop["order"]["type"], stop["order"]["status"]) == ("STOP_LIMIT", "ACCEPTED")


def test_a_bad_stop_is_the_callers_to_mend(client: EngineClient) -> None:
    with pytest.raises(RequestInvalid) as refused:
        client.place_stop_order(ETH, "SELL", Decimal("0.01"), Decimal(0))
    assert refused.value.code == "PRICE_NOT_POSITIVE"


def test_who_asks_for_a_comparison_while_one_runs_gets_the_next(engine: EngineProcess, client: EngineClient) -> None:
    with ThreadPoolExecutor(6) as pool:
        reports = list(pool.map(lambda _: client.reconcile(), range(6)))
    assert [report["breaks"] for report in reports] == [[]] * 6
    with ThreadPoolExecutor(6) as pool, pytest.raises(RequestInvalid, match="RECONCILE_RUNNING"):
        list(pool.map(lambda _: client.reconcile(wait_s=0), range(6)))

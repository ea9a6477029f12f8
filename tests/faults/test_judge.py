"""The judge itself: books that are the exchange's pass, and every digit that is not is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytest

from engine_service.domain.fill import REVERSED
from engine_service.domain.ids import Market
from tests.faults.judge import Evidence, judge

OWN = {"account": "demo", "market": "futures"}
TRADE = {
    "trade_id": 1,
    "client_order_id": "one",
    "side": "SELL",
    "price": "95000.1",
    "quantity": "0.003",
    "fee": "0.11400012",
    "fee_asset": "USDT",
}
ORDER = {
    "client_order_id": "one",
    "venue_order_id": "7",
    "symbol": "BTCUSDT.BINANCE",
    "side": "SELL",
    "quantity": "0.003",
    "filled_quantity": "0.003",
    "status": "FILLED",
    "tag": "key",
    "external": False,
    "overfill": False,
}
AT_EXCHANGE = {
    "client_order_id": "one",
    "order_id": 7,
    "symbol": "BTCUSDT",
    "side": "SELL",
    "status": "FILLED",
    "quantity": "0.003",
    "executed_quantity": "0.003",
}
LEDGER: dict[str, list[dict[str, Any]]] = {
    "orders": [{**OWN, **AT_EXCHANGE}],
    "trades": [{**OWN, **TRADE}],
    "positions": [
        {**OWN, "symbol": "BTCUSDT", "quantity": "-0.003", "entry_price": "95000.1"},
        {**OWN, "symbol": "ETHUSDT", "quantity": "0", "entry_price": "0"},
    ],
    "balances": [{**OWN, "asset": "USDT", "wallet": "9999999.88599988"}],
}
PORTFOLIO = {
    **dict.fromkeys(("realised_pnl", "unrealised_pnl", "transfers", "funding"), "0"),
    "equity": "9999999.88599988",
    "starting_equity": "10000000",
    "fees": "0.11400012",
    "cash": {"USDT.BINANCE|futures": {"total": "9999999.88599988"}},
    "positions": [{"symbol": "BTCUSDT.BINANCE", "signed_quantity": "-0.003", "average_price": "95000.100000001"}],
}


def found(
    ledger: Mapping[str, list[dict[str, Any]]],
    events: list[dict[str, Any]] | None = None,
    fills: Sequence[dict[str, Any]] = (),
) -> set[str]:
    evidence = Evidence(
        intents=[],
        cancels=[],
        orders=[ORDER],
        fills=[TRADE, *fills],
        portfolio=PORTFOLIO,
        reconciliation={"ok": True, "breaks": [], "adopted": []},
        events=events or [],
        ledger=ledger,
        market=Market.FUTURES,
    )
    return {finding.kind for finding in judge(evidence)} - {"stranger"}


def test_a_margin_account_that_is_the_exchanges_to_the_last_digit_passes() -> None:
    rounding = {"kind": "BalanceAdjusted", "event": {"kind": "rounding"}}
    assert found(LEDGER, [rounding]) == set()


@pytest.mark.parametrize(
    ("table", "row", "figure", "value", "kind"),
    [
        ("balances", 0, "wallet", "9999999.88599989", "wallet differs"),
        ("positions", 0, "quantity", "0.003", "position differs"),
        ("positions", 0, "entry_price", "95000.10000001", "position differs"),
        ("positions", 1, "quantity", "0.001", "position differs"),
        ("positions", 0, "symbol", "BNBUSDT", "position differs"),
        ("trades", 0, "fee", "0.11400013", "fill missed"),
        ("orders", 0, "executed_quantity", "0.002", "order differs"),
    ],
)
def test_a_last_digit_that_differs_is_told(table: str, row: int, figure: str, value: str, kind: str) -> None:
    ledger = deepcopy(LEDGER)
    ledger[table][row][figure] = value
    assert kind in found(ledger)


def test_money_that_came_as_a_transfer_is_told() -> None:
    assert found(LEDGER, [{"kind": "BalanceAdjusted", "event": {"kind": "transfer"}}]) == {"in the journal"}


@pytest.mark.parametrize("kind", ["BreakFound", "PositionAdopted"])
def test_a_difference_that_was_found_or_taken_over_on_the_way_is_told(kind: str) -> None:
    assert found(LEDGER, [{"kind": kind, "event": {}}]) == {"in the journal"}


STAND_IN = {**TRADE, "trade_id": "provisional:one:1:0:0.003", "price": "95000", "fee": "0", "provisional": True}
TAKEN_BACK = {**STAND_IN, "trade_id": f"{STAND_IN['trade_id']}{REVERSED}", "quantity": "-0.003"}


def test_a_stand_in_that_its_trade_replaced_is_no_finding_and_one_that_stands_is() -> None:
    said = [{"kind": "Anomaly", "event": {"kind": "provisional_fill", "subject": "one", "detail": ""}}]
    assert found(LEDGER, said, [STAND_IN, TAKEN_BACK]) == set()
    assert found(LEDGER, said, [STAND_IN]) == {"fill too many"}
    other = {**TAKEN_BACK, "trade_id": f"provisional:one:2:0:0.003{REVERSED}"}
    assert found(LEDGER, said, [STAND_IN, other]) == {"fill too many"}


def test_any_other_anomaly_is_told() -> None:
    said = [{"kind": "Anomaly", "event": {"kind": "order_differs", "subject": "one", "detail": ""}}]
    assert found(LEDGER, said) == {"in the journal"}

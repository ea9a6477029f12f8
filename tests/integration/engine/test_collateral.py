"""Coins held as collateral of futures are worth their price from the first moment on, also after a kill."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange

FUTURES = ("--venue", "binance-futures", "--strategies", "off", "--interval", "1m")
ORDER = {"type": "market", "symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.002"}


@pytest.fixture
def engine(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    running = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url, FUTURES).start()
    assert running.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
    yield running
    assert running.stop() == 0


def equity(engine: EngineProcess) -> tuple[Decimal, Decimal]:
    portfolio = engine.call("GET", "/portfolio").json()
    return Decimal(portfolio["equity"]), Decimal(portfolio["unrealised_pnl"])


def test_an_account_begins_at_what_it_is_worth_and_a_restart_is_no_fall(engine: EngineProcess) -> None:
    worth, gained = equity(engine)
    assert worth > 500_000, "ten coins are part of the account"
    assert abs(gained) < worth / 100, "what was there before is no profit"
    engine.stop(signal.SIGKILL)
    engine.start()
    again, _ = equity(engine)
    assert abs(again - worth) < worth / 100
    checked = engine.call("POST", "/orders/check", json=ORDER).json()
    assert checked["accepted"], checked

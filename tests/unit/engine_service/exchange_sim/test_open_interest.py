"""Open interest counts every contract once: what is held long, over all accounts, of one symbol."""

from __future__ import annotations

from decimal import Decimal

from engine_service.exchange_sim.enums import PositionSide
from engine_service.exchange_sim.futures_ledger import FuturesLedger

D = Decimal


def test_open_interest_is_what_is_held_long_over_all_accounts() -> None:
    ledger = FuturesLedger()

    def trade(buyer: str, seller: str, quantity: str, symbol: str = "BTCUSDT") -> None:
        for account, signed in ((buyer, D(quantity)), (seller, -D(quantity))):
            ledger.trade(account, symbol, PositionSide.BOTH, signed, D(50_000), "USDT", 0)

    assert ledger.open_interest("BTCUSDT") == 0
    trade("alice", "bob", "0.03")
    trade("carol", "bob", "0.02")
    trade("alice", "carol", "9", symbol="DOGEUSDT")
    assert ledger.open_interest("BTCUSDT") == D("0.05")
    trade("bob", "alice", "0.03")
    assert ledger.open_interest("BTCUSDT") == D("0.02"), "both sides of that trade closed"

"""Spot money, exact: free and locked per account and asset, what was deposited, what was taken as fees.

Over all accounts, the market maker's included, deposits = free + locked + fees in every asset, to the last digit:
every movement takes from one place exactly what it gives to another.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import msgspec

from engine_service.exchange_sim.errors import insufficient_balance
from engine_service.exchange_sim.model import ZERO, Balance

HOUSE = "market-maker"
# The market maker is never short of anything: it is topped up by a deposit that the ledger shows.
_HOUSE_TOP_UP_FACTOR = 1000


class _Purse(msgspec.Struct):
    free: Decimal = ZERO
    locked: Decimal = ZERO


class _Lock(msgspec.Struct):
    account_id: str
    asset: str
    amount: Decimal


class SpotLedger:
    """Balances of the spot wallet."""

    def __init__(self) -> None:
        self._purses: dict[tuple[str, str], _Purse] = {}
        self._locks: dict[tuple[str, int], _Lock] = {}
        self._touched: dict[str, set[str]] = defaultdict(set)
        self.deposits: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        self.fees: dict[str, Decimal] = defaultdict(Decimal)

    def balances(self, account_id: str) -> list[Balance]:
        """Every asset the account ever had, zero ones too, by name."""
        assets = sorted(asset for account, asset in self._purses if account == account_id)
        return [self.balance(account_id, asset) for asset in assets]

    def balance(self, account_id: str, asset: str) -> Balance:
        purse = self._purses.get((account_id, asset))
        return Balance(asset, purse.free, purse.locked) if purse else Balance(asset, ZERO, ZERO)

    def deposit(self, account_id: str, asset: str, amount: Decimal) -> None:
        """Money comes in (negative: goes out). Raises -2010 when more would go out than is free."""
        purse = self._purse(account_id, asset)
        if purse.free + amount < 0:
            raise insufficient_balance()
        purse.free += amount
        self.deposits[account_id][asset] += amount
        self._touched[account_id].add(asset)

    def lock(self, account_id: str, symbol: str, order_id: int, asset: str, amount: Decimal) -> None:
        """Set money aside for an order. Raises -2010 when it is not free."""
        purse = self._purse(account_id, asset)
        if purse.free < amount:
            raise insufficient_balance()
        purse.free -= amount
        purse.locked += amount
        self._locks[symbol, order_id] = _Lock(account_id, asset, amount)
        self._touched[account_id].add(asset)

    def locked_for(self, symbol: str, order_id: int) -> Decimal:
        lock = self._locks.get((symbol, order_id))
        return lock.amount if lock else ZERO

    def shrink_lock(self, symbol: str, order_id: int, keep: Decimal) -> None:
        """Free what an order has locked beyond `keep`."""
        lock = self._locks.get((symbol, order_id))
        if lock is None or lock.amount < keep:
            return
        purse = self._purse(lock.account_id, lock.asset)
        purse.locked -= lock.amount - keep
        purse.free += lock.amount - keep
        lock.amount = keep
        self._touched[lock.account_id].add(lock.asset)
        if not keep:
            del self._locks[symbol, order_id]

    def pay(self, account_id: str, symbol: str, order_id: int, asset: str, amount: Decimal) -> None:
        """Take an order's payment out of its lock."""
        lock = self._locks[symbol, order_id]
        if lock.asset != asset or lock.amount < amount:
            raise insufficient_balance()
        lock.amount -= amount
        self._purse(account_id, asset).locked -= amount
        self._touched[account_id].add(asset)

    def pay_from_house(self, asset: str, amount: Decimal) -> None:
        """Take the market maker's payment, topping it up first where it is short."""
        if self._purse(HOUSE, asset).free < amount:
            self.deposit(HOUSE, asset, amount * _HOUSE_TOP_UP_FACTOR)
        self._purse(HOUSE, asset).free -= amount

    def receive(self, account_id: str, asset: str, amount: Decimal) -> None:
        """Give an account what it traded for."""
        self._purse(account_id, asset).free += amount
        self._touched[account_id].add(asset)

    def take_fee(self, account_id: str, asset: str, amount: Decimal) -> bool:
        """Move a fee from an account's free balance to the fee account; False when it is not there."""
        purse = self._purse(account_id, asset)
        if purse.free < amount:
            return False
        purse.free -= amount
        self.fees[asset] += amount
        self._touched[account_id].add(asset)
        return True

    def drain_touched(self) -> dict[str, tuple[Balance, ...]]:
        """Balances that changed since the last call, by account, without the market maker's."""
        touched = {
            account: tuple(self.balance(account, asset) for asset in sorted(assets))
            for account, assets in self._touched.items()
            if account != HOUSE
        }
        self._touched.clear()
        return touched

    def conservation(self) -> dict[str, Decimal]:
        """Deposits minus free, locked and fees per asset: zero everywhere, always."""
        rest: dict[str, Decimal] = defaultdict(Decimal)
        for by_asset in self.deposits.values():
            for asset, amount in by_asset.items():
                rest[asset] += amount
        for (_, asset), purse in self._purses.items():
            rest[asset] -= purse.free + purse.locked
        for asset, amount in self.fees.items():
            rest[asset] -= amount
        return dict(rest)

    def accounts(self) -> list[str]:
        return sorted({account for account, _ in self._purses})

    def _purse(self, account_id: str, asset: str) -> _Purse:
        found = self._purses.get((account_id, asset))
        if found is None:
            found = self._purses[account_id, asset] = _Purse()
        return found

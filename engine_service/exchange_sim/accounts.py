"""Accounts and their keys."""

from __future__ import annotations

from engine_service.exchange_sim.model import AccountSpec, ApiKey


class AccountBook:
    """Who may trade, found by API key or id."""

    def __init__(self, accounts: tuple[AccountSpec, ...]) -> None:
        self._by_id = {account.account_id: account for account in accounts}
        self._by_key = {key.key: (account, key) for account in accounts for key in account.keys}
        self._fees_in_bnb = {account.account_id: account.pays_fees_in_bnb for account in accounts}

    def by_key(self, api_key: str) -> tuple[AccountSpec, ApiKey] | None:
        """The account and key behind an API key, None for an unknown one."""
        return self._by_key.get(api_key)

    def get(self, account_id: str) -> AccountSpec:
        """Raises KeyError for an unknown account."""
        return self._by_id[account_id]

    def all(self) -> tuple[AccountSpec, ...]:
        return tuple(self._by_id.values())

    def pays_fees_in_bnb(self, account_id: str) -> bool:
        return self._fees_in_bnb.get(account_id, False)

    def set_fees_in_bnb(self, account_id: str, on: bool) -> None:
        self._fees_in_bnb[account_id] = on

"""What the matching engine asks of a wallet, whichever market it serves."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

import msgspec

from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.matching import MatchPlan
from engine_service.exchange_sim.model import ZERO, SimOrder


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What a match cost and brought one side."""

    fee: Decimal
    fee_asset: str
    realised_pnl: Decimal = ZERO


class Settlement(Protocol):
    """Money behind the orders of one market. Refusals are ExchangeErrors and change nothing."""

    def reserve(self, listing: Listing, order: SimOrder, plan: MatchPlan) -> None:
        """Set aside what the order may need: its fills by `plan` and its remainder at its limit."""

    def release(self, order: SimOrder) -> None:
        """Free what the order, as it stands, no longer needs."""

    def closable(self, order: SimOrder) -> Decimal | None:
        """Base quantity that an order which may only close is allowed to trade; None: any quantity."""

    def settle(
        self, listing: Listing, order: SimOrder, price: Decimal, quantity: Decimal, trade_id: int, at_ms: int
    ) -> Settled:
        """Move an account's side of a match."""

    def settle_house(self, listing: Listing, sign: int, price: Decimal, quantity: Decimal, at_ms: int) -> None:
        """Move the market maker's side of a match; `sign` is 1 where it buys."""

    def flush(self, at_ms: int) -> list[tuple[str, str]]:
        """Report the balances that changed; returns (account, symbol) of positions that changed."""

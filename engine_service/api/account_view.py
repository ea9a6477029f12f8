"""How the venue's own view of the account looks on the wire."""

from __future__ import annotations

from typing import TypedDict

from engine_service.api.shapes import Amount, Ms, Signed
from engine_service.domain.ids import Market
from engine_service.domain.money import plain
from engine_service.domain.order_status import OrderSide, OrderStatus
from engine_service.venues.reports import AccountSnapshot


class BalanceView(TypedDict):
    """One asset of the account, in units of the asset."""

    asset: str
    free: Signed
    locked: Signed


class VenuePositionView(TypedDict):
    """One derivative position; `signed_quantity` is negative for a short."""

    symbol: str
    signed_quantity: Signed
    entry_price: Amount
    mark_price: Amount
    unrealised_pnl: Signed


class VenueOrderView(TypedDict):
    """One open order as the venue tells it."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: OrderSide
    status: OrderStatus
    quantity: Amount
    executed_quantity: Amount


class AccountView(TypedDict):
    """Balances, positions and open orders as the venue gave them at `at_ms`, its own time."""

    venue: str
    market: Market
    at_ms: Ms
    balances: list[BalanceView]
    positions: list[VenuePositionView]
    open_orders: list[VenueOrderView]


def account_view(snapshot: AccountSnapshot) -> AccountView:
    """Return the account as one venue told it."""
    return {
        "venue": snapshot.venue,
        "market": snapshot.market,
        "at_ms": snapshot.at_ms,
        "balances": [
            {"asset": balance.asset, "free": plain(balance.free), "locked": plain(balance.locked)}
            for balance in snapshot.balances
        ],
        "positions": [
            {
                "symbol": position.symbol,
                "signed_quantity": plain(position.signed_quantity),
                "entry_price": plain(position.entry_price),
                "mark_price": plain(position.mark_price),
                "unrealised_pnl": plain(position.unrealised_pnl),
            }
            for position in snapshot.positions
        ],
        "open_orders": [
            {
                "client_order_id": report.client_order_id,
                "venue_order_id": report.venue_order_id,
                "symbol": report.symbol,
                "side": report.side,
                "status": report.status,
                "quantity": plain(report.quantity),
                "executed_quantity": plain(report.executed_quantity),
            }
            for report in snapshot.open_orders
        ],
    }

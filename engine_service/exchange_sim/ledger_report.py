"""The truth to compare with: every order, trade, balance, deposit and fee of every account, as plain rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.exchange import Exchange
from engine_service.exchange_sim.model import ZERO, SimOrder, SimTrade

Row = dict[str, object]


def ledger_report(exchange: Exchange, account: str | None = None) -> dict[str, list[Row]]:
    """Rows by table; decimals as strings, `at` in ISO 8601 UTC beside `at_ms`.

    In each market and asset, over all accounts, the market maker's included:
    sum(deposits.amount) = sum(balances.free + balances.locked) + sum(fees.amount). On USD-M `free` is the margin
    balance: wallet plus unrealised PnL at the mark.

    Args:
        account: only this account's orders, trades and balances; None for all.
    """
    orders = (order for order in exchange.store.every_order() if account in (None, order.account_id))
    trades = (trade for trade in exchange.store.every_trade() if account in (None, trade.account_id))
    balances = [*_spot_balances(exchange), *_futures_balances(exchange)]
    return {
        "orders": [_order_row(order) for order in orders],
        "trades": [_trade_row(trade) for trade in trades],
        "balances": [row for row in balances if account in (None, row["account"])],
        "positions": [row for row in _positions(exchange) if account in (None, row["account"])],
        "deposits": list(_deposits(exchange)),
        "fees": list(_fees(exchange)),
    }


def text(amount: Decimal) -> str:
    """A decimal without exponent or needless zeros."""
    plain = format(amount, "f")
    return plain.rstrip("0").rstrip(".") or "0" if "." in plain else plain


def _order_row(order: SimOrder) -> Row:
    return {
        "account": order.account_id,
        "market": order.market.value,
        "symbol": order.symbol,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "side": order.side.value,
        "type": order.type.value,
        "time_in_force": order.time_in_force.value,
        "status": order.status.value,
        "quantity": text(order.quantity),
        "price": text(order.price),
        "stop_price": text(order.stop_price),
        "executed_quantity": text(order.executed_quantity),
        "executed_quote": text(order.executed_quote),
        "position_side": order.position_side.value,
        "created_ms": order.created_ms,
        "updated_ms": order.updated_ms,
    }


def _trade_row(trade: SimTrade) -> Row:
    return {
        "account": trade.account_id,
        "market": trade.market.value,
        "symbol": trade.symbol,
        "trade_id": trade.trade_id,
        "order_id": trade.order_id,
        "client_order_id": trade.client_order_id,
        "side": trade.side.value,
        "price": text(trade.price),
        "quantity": text(trade.quantity),
        "fee": text(trade.fee),
        "fee_asset": trade.fee_asset,
        "is_maker": trade.is_maker,
        "realised_pnl": text(trade.realised_pnl),
        "at": datetime.fromtimestamp(trade.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "at_ms": trade.at_ms,
    }


def _spot_balances(exchange: Exchange) -> Iterator[Row]:
    for account in exchange.spot.accounts():
        for balance in exchange.spot.balances(account):
            yield {
                "account": account,
                "market": Market.SPOT.value,
                "asset": balance.asset,
                "free": text(balance.free),
                "locked": text(balance.locked),
            }


def _futures_balances(exchange: Exchange) -> Iterator[Row]:
    ledger = exchange.futures_ledger
    unrealised: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (account, symbol, _), holding in ledger.holdings.items():
        listing = exchange.contracts[symbol]
        unrealised[account, listing.spec.quote_asset] += holding.unrealised(listing.mark_price)
    for account, asset in sorted(set(ledger.wallets) | set(unrealised)):
        wallet = ledger.wallets.get((account, asset), ZERO)
        profit = unrealised.get((account, asset), ZERO)
        yield {
            "account": account,
            "market": Market.FUTURES.value,
            "asset": asset,
            "free": text(wallet + profit),
            "locked": "0",
            "wallet": text(wallet),
            "unrealised_pnl": text(profit),
        }


def _positions(exchange: Exchange) -> Iterator[Row]:
    for (account, symbol, side), holding in exchange.futures_ledger.holdings.items():
        yield {
            "account": account,
            "market": Market.FUTURES.value,
            "symbol": symbol,
            "position_side": side.value,
            "quantity": text(holding.quantity),
            "entry_price": text(holding.entry_price),
            "realised_pnl": text(holding.realised),
        }


def _deposits(exchange: Exchange) -> Iterator[Row]:
    books = ((Market.SPOT, exchange.spot.deposits), (Market.FUTURES, exchange.futures_ledger.deposits))
    for market, deposits in books:
        for account, by_asset in deposits.items():
            for asset, amount in by_asset.items():
                yield {"account": account, "market": market.value, "asset": asset, "amount": text(amount)}


def _fees(exchange: Exchange) -> Iterator[Row]:
    books = ((Market.SPOT, exchange.spot.fees), (Market.FUTURES, exchange.futures_ledger.fees))
    for market, fees in books:
        for asset, amount in fees.items():
            yield {"market": market.value, "asset": asset, "amount": text(amount)}

"""USD-M answers about wallets and positions: pure builders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from engine_service.exchange_sim.binance_wire.payloads_futures import average, money
from engine_service.exchange_sim.binance_wire.ws_text import plain
from engine_service.exchange_sim.enums import MarginType
from engine_service.exchange_sim.model import ZERO, FuturesBalance, Position
from engine_service.exchange_sim.specs import MARGIN_ASSET

Payload = dict[str, object]


def balance(entry: FuturesBalance, alias: str) -> Payload:
    """A row of v2 and v3 balance."""
    return {
        "accountAlias": alias,
        "asset": entry.asset,
        "balance": money(entry.wallet),
        "crossWalletBalance": money(entry.cross_wallet),
        "crossUnPnl": money(entry.cross_unrealised_pnl),
        "availableBalance": money(entry.available),
        "maxWithdrawAmount": money(entry.available),
        "marginAvailable": True,
        "updateTime": entry.updated_ms,
    }


def account_totals(balances: Iterable[FuturesBalance]) -> Payload:
    """The `total...` fields of account, which in single-asset mode tell of the margin asset alone."""
    rows = [row for row in balances if row.asset == MARGIN_ASSET]

    def total(field: Callable[[FuturesBalance], Decimal]) -> str:
        return money(sum((field(row) for row in rows), ZERO))

    return {
        "totalInitialMargin": total(lambda row: row.initial_margin),
        "totalMaintMargin": total(lambda row: row.maintenance_margin),
        "totalWalletBalance": total(lambda row: row.wallet),
        "totalUnrealizedProfit": total(lambda row: row.unrealised_pnl),
        "totalMarginBalance": total(lambda row: row.margin_balance),
        "totalPositionInitialMargin": total(lambda row: row.position_initial_margin),
        "totalOpenOrderInitialMargin": total(lambda row: row.open_order_initial_margin),
        "totalCrossWalletBalance": total(lambda row: row.cross_wallet),
        "totalCrossUnPnl": total(lambda row: row.cross_unrealised_pnl),
        "availableBalance": total(lambda row: row.available),
        "maxWithdrawAmount": total(lambda row: row.available),
    }


def account_asset(entry: FuturesBalance) -> Payload:
    """A row of account's `assets`."""
    return {
        "asset": entry.asset,
        "walletBalance": money(entry.wallet),
        "unrealizedProfit": money(entry.unrealised_pnl),
        "marginBalance": money(entry.margin_balance),
        "maintMargin": money(entry.maintenance_margin),
        "initialMargin": money(entry.initial_margin),
        "positionInitialMargin": money(entry.position_initial_margin),
        "openOrderInitialMargin": money(entry.open_order_initial_margin),
        "crossWalletBalance": money(entry.cross_wallet),
        "crossUnPnl": money(entry.cross_unrealised_pnl),
        "availableBalance": money(entry.available),
        "maxWithdrawAmount": money(entry.available),
        "marginAvailable": True,
        "updateTime": entry.updated_ms,
    }


def account_position_v2(entry: Position) -> Payload:
    """A row of v2 account's `positions`."""
    return {
        "symbol": entry.symbol,
        "initialMargin": money(entry.initial_margin),
        "maintMargin": money(entry.maintenance_margin),
        "unrealizedProfit": money(entry.unrealised_pnl),
        "positionInitialMargin": money(entry.position_initial_margin),
        "openOrderInitialMargin": money(entry.open_order_initial_margin),
        "leverage": str(entry.leverage),
        "isolated": entry.margin_type is MarginType.ISOLATED,
        "entryPrice": average(entry.entry_price),
        "breakEvenPrice": average(entry.break_even_price),
        "maxNotional": plain(entry.max_notional),
        "bidNotional": "0",
        "askNotional": "0",
        "positionSide": entry.side.value,
        "positionAmt": plain(entry.quantity),
        "notional": money(entry.notional),
        "isolatedWallet": money(entry.isolated_wallet),
        "updateTime": entry.updated_ms,
    }


def account_position_v3(entry: Position) -> Payload:
    """A row of v3 account's `positions`."""
    return {
        "symbol": entry.symbol,
        "positionSide": entry.side.value,
        "positionAmt": plain(entry.quantity),
        "unrealizedProfit": money(entry.unrealised_pnl),
        "isolatedMargin": money(entry.isolated_margin),
        "notional": money(entry.notional),
        "isolatedWallet": money(entry.isolated_wallet),
        "initialMargin": money(entry.initial_margin),
        "maintMargin": money(entry.maintenance_margin),
        "updateTime": entry.updated_ms,
    }


def position_risk_v2(entry: Position) -> Payload:
    """A row of v2 positionRisk."""
    return {
        **_risk(entry),
        "leverage": str(entry.leverage),
        "maxNotionalValue": plain(entry.max_notional),
        "marginType": "isolated" if entry.margin_type is MarginType.ISOLATED else "cross",
        "isAutoAddMargin": "false",
    }


def position_risk_v3(entry: Position, margin_asset: str) -> Payload:
    """A row of v3 positionRisk."""
    return {
        **_risk(entry),
        "marginAsset": margin_asset,
        "initialMargin": money(entry.initial_margin),
        "maintMargin": money(entry.maintenance_margin),
        "positionInitialMargin": money(entry.position_initial_margin),
        "openOrderInitialMargin": money(entry.open_order_initial_margin),
        "adl": 1 if entry.quantity else 0,
        "bidNotional": "0",
        "askNotional": "0",
    }


def _risk(entry: Position) -> Payload:
    return {
        "symbol": entry.symbol,
        "positionSide": entry.side.value,
        "positionAmt": plain(entry.quantity),
        "entryPrice": average(entry.entry_price),
        "breakEvenPrice": average(entry.break_even_price),
        "markPrice": money(entry.mark_price),
        "unRealizedProfit": money(entry.unrealised_pnl),
        "liquidationPrice": plain(entry.liquidation_price),
        "isolatedMargin": money(entry.isolated_margin),
        "notional": money(entry.notional),
        "isolatedWallet": money(entry.isolated_wallet),
        "updateTime": entry.updated_ms,
    }

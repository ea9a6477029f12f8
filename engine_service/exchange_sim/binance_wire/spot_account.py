"""Spot account endpoints: balances and commission rates."""

from __future__ import annotations

import zlib
from decimal import Decimal

from engine_service.exchange_sim.binance_wire import payloads_spot
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.ws_text import fixed
from engine_service.exchange_sim.enums import Market, Permission
from engine_service.exchange_sim.model import ZERO

Payload = dict[str, object]
_BPS = Decimal(10_000)
_BNB_DISCOUNT = Decimal("0.25")
_NOTHING = fixed(ZERO)


def account(call: Call) -> object:
    """GET /api/v3/account"""
    omit_zero = call.params.boolean("omitZeroBalances")
    call.params.finish()
    maker, taker = fee_rates(call)
    balances = call.exchange.spot.balances(call.account_id)
    return {
        "makerCommission": int(maker * _BPS),
        "takerCommission": int(taker * _BPS),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": fixed(maker),
            "taker": fixed(taker),
            "buyer": _NOTHING,
            "seller": _NOTHING,
        },
        "canTrade": call.signer is not None and Permission.SPOT in call.signer.key.permissions,
        "canWithdraw": False,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.exchange.server_time_ms(),
        "accountType": "SPOT",
        "balances": [payloads_spot.balance(entry) for entry in balances if not omit_zero or entry.free or entry.locked],
        "permissions": ["SPOT"],
        "uid": uid(call.account_id),
    }


def commission(call: Call) -> object:
    """GET /api/v3/account/commission"""
    symbol = call.params.symbol()
    call.params.finish()
    call.exchange.market_data.spec(call.market, symbol)
    maker, taker = fee_rates(call)
    nothing = dict.fromkeys(("maker", "taker", "buyer", "seller"), _NOTHING)
    return {
        "symbol": symbol,
        "standardCommission": nothing | {"maker": fixed(maker), "taker": fixed(taker)},
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": _discount(call),
    }


def commission_for_order(call: Call) -> Payload:
    """The answer of order/test with computeCommissionRates."""
    maker, taker = fee_rates(call)
    nothing = {"maker": _NOTHING, "taker": _NOTHING}
    return {
        "standardCommissionForOrder": {"maker": fixed(maker), "taker": fixed(taker)},
        "specialCommissionForOrder": nothing,
        "taxCommissionForOrder": nothing,
        "discount": _discount(call),
    }


def fee_rates(call: Call) -> tuple[Decimal, Decimal]:
    """(maker, taker) of the spot market as fractions."""
    perpetuals = call.exchange.market_data.specs(Market.FUTURES)
    if not perpetuals:
        return ZERO, ZERO
    # The exchange charges one rate on both markets and states it where the venue does, per USD-M symbol.
    return call.exchange.futures.fee_rates(call.account_id, perpetuals[0].symbol)


def uid(account_id: str) -> int:
    """A number for an account, the same in every run."""
    return zlib.crc32(account_id.encode())


def _discount(call: Call) -> Payload:
    return {
        "enabledForAccount": call.exchange.accounts.pays_fees_in_bnb(call.account_id),
        "enabledForSymbol": True,
        "discountAsset": "BNB",
        "discount": fixed(_BNB_DISCOUNT),
    }


ROUTES = (
    Route("GET", "/api/v3/account", account, 20, Security.DATA),
    Route("GET", "/api/v3/account/commission", commission, 20, Security.DATA),
)

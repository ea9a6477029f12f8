"""The wallet endpoints (`/sapi`) that clients call around trading, and COIN-M's empty listing.

Nothing can be withdrawn from the simulation, and the answers say so.
"""

from __future__ import annotations

from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.spot_account import fee_rates
from engine_service.exchange_sim.binance_wire.weights import FUTURES_LIMITS
from engine_service.exchange_sim.binance_wire.ws_text import fixed, plain
from engine_service.exchange_sim.enums import Market, Permission
from engine_service.exchange_sim.model import ZERO

Payload = dict[str, object]
_NONE = "0"


def system_status(_call: Call) -> object:
    """GET /sapi/v1/system/status"""
    return {"status": 0, "msg": "normal"}


def coins(call: Call) -> object:
    """GET /sapi/v1/capital/config/getall"""
    held = {entry.asset: entry for entry in call.exchange.spot.balances(call.account_id)}
    listed = {
        name for spec in call.exchange.market_data.specs(Market.SPOT) for name in (spec.base_asset, spec.quote_asset)
    }
    rows = []
    for asset in sorted(listed | held.keys()):
        free, locked = (held[asset].free, held[asset].locked) if asset in held else (ZERO, ZERO)
        rows.append(_coin(asset, plain(free), plain(locked)))
    return rows


def restrictions(call: Call) -> object:
    """GET /sapi/v1/account/apiRestrictions"""
    permissions = call.signer.key.permissions if call.signer is not None else frozenset()
    return {
        "ipRestrict": False,
        "createTime": 0,
        "enableReading": Permission.READ in permissions,
        "enableSpotAndMarginTrading": Permission.SPOT in permissions,
        "enableFutures": Permission.FUTURES in permissions,
        "enableWithdrawals": False,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enablePortfolioMarginTrading": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableVanillaOptions": False,
        "permitsUniversalTransfer": False,
    }


def account_status(_call: Call) -> object:
    """GET /sapi/v1/account/status"""
    return {"data": "Normal"}


def trading_status(call: Call) -> object:
    """GET /sapi/v1/account/apiTradingStatus"""
    return {
        "data": {
            "isLocked": False,
            "plannedRecoverTime": 0,
            "triggerCondition": {"GCR": 150, "IFER": 150, "UFR": 300},
            "updateTime": call.exchange.server_time_ms(),
        }
    }


def trade_fees(call: Call) -> object:
    """GET /sapi/v1/asset/tradeFee"""
    symbol = call.params.optional_symbol()
    data = call.exchange.market_data
    specs = data.specs(Market.SPOT) if symbol is None else (data.spec(Market.SPOT, symbol),)
    maker, taker = fee_rates(call)
    return [{"symbol": spec.symbol, "makerCommission": fixed(maker), "takerCommission": fixed(taker)} for spec in specs]


def user_assets(call: Call) -> object:
    """POST /sapi/v3/asset/getUserAsset"""
    wanted = call.params.text("asset")
    return [
        {
            "asset": entry.asset,
            "free": fixed(entry.free),
            "locked": fixed(entry.locked),
            "freeze": _NONE,
            "withdrawing": _NONE,
            "ipoable": _NONE,
            "btcValuation": _NONE,
        }
        for entry in call.exchange.spot.balances(call.account_id)
        if (entry.free or entry.locked) and wanted in (None, entry.asset)
    ]


def bnb_burn(call: Call) -> object:
    """GET /sapi/v1/bnbBurn"""
    return {
        "spotBNBBurn": call.exchange.accounts.pays_fees_in_bnb(call.account_id),
        "interestBNBBurn": False,
    }


def set_bnb_burn(call: Call) -> object:
    """POST /sapi/v1/bnbBurn"""
    if call.params.sent("spotBNBBurn"):
        call.exchange.accounts.set_fees_in_bnb(call.account_id, call.params.boolean("spotBNBBurn"))
    return bnb_burn(call)


def no_margin(_call: Call) -> object:
    """GET /sapi/v1/margin/...: there is no margin trading, so its lists are empty."""
    return []


def coin_margined(call: Call) -> object:
    """GET /dapi/v1/exchangeInfo: no COIN-M contract is listed, which clients that load all markets must hear."""
    return {
        "timezone": "UTC",
        "serverTime": call.exchange.server_time_ms(),
        "rateLimits": FUTURES_LIMITS.listed(),
        "exchangeFilters": [],
        "symbols": [],
    }


def _coin(asset: str, free: str, locked: str) -> Payload:
    return {
        "coin": asset,
        "name": asset,
        "depositAllEnable": True,
        "withdrawAllEnable": False,
        "free": free,
        "locked": locked,
        "freeze": _NONE,
        "withdrawing": _NONE,
        "ipoing": _NONE,
        "ipoable": _NONE,
        "storage": _NONE,
        "isLegalMoney": False,
        "trading": True,
        "networkList": [],
    }


ROUTES = (
    Route("GET", "/sapi/v1/system/status", system_status),
    Route("GET", "/sapi/v1/capital/config/getall", coins, 10, Security.DATA),
    Route("GET", "/sapi/v1/account/apiRestrictions", restrictions, 1, Security.DATA),
    Route("GET", "/sapi/v1/account/status", account_status, 1, Security.DATA),
    Route("GET", "/sapi/v1/account/apiTradingStatus", trading_status, 1, Security.DATA),
    Route("GET", "/sapi/v1/asset/tradeFee", trade_fees, 1, Security.DATA),
    Route("POST", "/sapi/v3/asset/getUserAsset", user_assets, 5, Security.DATA),
    Route("GET", "/sapi/v1/bnbBurn", bnb_burn, 1, Security.DATA),
    Route("POST", "/sapi/v1/bnbBurn", set_bnb_burn, 1, Security.DATA),
    Route("GET", "/sapi/v1/margin/allPairs", no_margin, 1, Security.KEY),
    Route("GET", "/sapi/v1/margin/isolated/allPairs", no_margin, 1, Security.KEY),
    Route("GET", "/sapi/v1/margin/allAssets", no_margin, 1, Security.KEY),
    Route("GET", "/dapi/v1/exchangeInfo", coin_margined, market=Market.FUTURES),
    Route("GET", "/dapi/v1/ping", lambda _call: {}, market=Market.FUTURES),
)

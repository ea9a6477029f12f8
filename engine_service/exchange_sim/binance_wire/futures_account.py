"""USD-M account endpoints: wallets, positions, income, fees, brackets, listen keys."""

from __future__ import annotations

from engine_service.exchange_sim.binance_wire import payloads_futures, payloads_wallets
from engine_service.exchange_sim.binance_wire.app_context import Call, Route, Security
from engine_service.exchange_sim.binance_wire.spot_account import uid
from engine_service.exchange_sim.binance_wire.ws_text import plain
from engine_service.exchange_sim.enums import Market, Permission
from engine_service.exchange_sim.model import Position, SymbolSpec
from engine_service.exchange_sim.specs import split_symbol

Payload = dict[str, object]
FUTURES = Market.FUTURES
_MOST_ROWS = 1000
_NO_RESULT: Payload = {}
_RPI_RATE = "0"


def account_v2(call: Call) -> object:
    """GET /fapi/v2/account: every symbol's position."""
    balances = call.exchange.futures.balances(call.account_id)
    return {
        **_configuration(call),
        **payloads_wallets.account_totals(balances),
        "assets": [payloads_wallets.account_asset(row) for row in balances],
        "positions": [
            payloads_wallets.account_position_v2(row) for row in call.exchange.futures.positions(call.account_id)
        ],
    }


def account_v3(call: Call) -> object:
    """GET /fapi/v3/account: only symbols with a position or an open order."""
    balances = call.exchange.futures.balances(call.account_id)
    return {
        **payloads_wallets.account_totals(balances),
        "assets": [payloads_wallets.account_asset(row) for row in balances],
        "positions": [payloads_wallets.account_position_v3(row) for row in _in_use(call, None)],
    }


def balance(call: Call) -> object:
    """GET /fapi/v2/balance and /fapi/v3/balance"""
    alias = _alias(call)
    return [payloads_wallets.balance(row, alias) for row in call.exchange.futures.balances(call.account_id)]


def position_risk_v2(call: Call) -> object:
    """GET /fapi/v2/positionRisk"""
    symbol = _listed_symbol(call)
    positions = call.exchange.futures.positions(call.account_id, symbol)
    return [payloads_wallets.position_risk_v2(row) for row in positions]


def position_risk_v3(call: Call) -> object:
    """GET /fapi/v3/positionRisk"""
    rows = _in_use(call, _listed_symbol(call))
    # By the name: what is held may be listed no longer.
    return [payloads_wallets.position_risk_v3(row, split_symbol(row.symbol)[1]) for row in rows]


def account_config(call: Call) -> object:
    """GET /fapi/v1/accountConfig"""
    configuration = _configuration(call)
    del configuration["feeBurn"]
    return {**configuration, "dualSidePosition": call.exchange.futures.is_hedge_mode(call.account_id)}


def symbol_config(call: Call) -> object:
    """GET /fapi/v1/symbolConfig"""
    symbol = _listed_symbol(call)
    rows: dict[str, Payload] = {}
    for position in call.exchange.futures.positions(call.account_id, symbol):
        rows[position.symbol] = {
            "symbol": position.symbol,
            "marginType": position.margin_type.value,
            "isAutoAddMargin": False,
            "leverage": position.leverage,
            "maxNotionalValue": plain(position.max_notional),
        }
    return list(rows.values())


def income(call: Call) -> object:
    """GET /fapi/v1/income"""
    params = call.params
    symbol, kind = params.optional_symbol(), params.text("incomeType")
    start_ms, end_ms = params.time_ms("startTime"), params.time_ms("endTime")
    limit, page = params.limit(100, _MOST_ROWS), max(1, params.integer("page") or 1)
    rows = call.exchange.futures.income(call.account_id, symbol, kind, start_ms, end_ms, limit * page)
    return [payloads_futures.income(row) for row in rows[(page - 1) * limit :]]


def commission_rate(call: Call) -> object:
    """GET /fapi/v1/commissionRate"""
    spec = call.exchange.market_data.spec(FUTURES, call.params.symbol())
    maker, taker = call.exchange.futures.fee_rates(call.account_id, spec.symbol)
    return {
        "symbol": spec.symbol,
        "makerCommissionRate": plain(maker),
        "takerCommissionRate": plain(taker),
        "rpiCommissionRate": _RPI_RATE,
    }


def leverage_bracket(call: Call) -> object:
    """GET /fapi/v1/leverageBracket"""
    symbol = _listed_symbol(call)
    specs = call.exchange.market_data.specs(FUTURES)
    rows = [_bracket(spec, call) for spec in specs if symbol in (None, spec.symbol)]
    return rows if symbol is None else rows[0]


def fee_burn(call: Call) -> object:
    """GET /fapi/v1/feeBurn"""
    return {"feeBurn": call.exchange.accounts.pays_fees_in_bnb(call.account_id)}


def create_listen_key(call: Call) -> object:
    """POST /fapi/v1/listenKey"""
    return {"listenKey": call.wire.listen_keys.create(call.account_id)}


def renew_listen_key(call: Call) -> object:
    """PUT /fapi/v1/listenKey"""
    return {"listenKey": call.wire.listen_keys.renew(call.account_id)}


def close_listen_key(call: Call) -> object:
    """DELETE /fapi/v1/listenKey"""
    call.wire.listen_keys.close(call.account_id)
    return _NO_RESULT


def order_counts(call: Call) -> object:
    """GET /fapi/v1/rateLimit/order"""
    rows = call.wire.limits[FUTURES].order_rows(call.account_id)
    return [{name: value for name, value in row.items() if name != "count"} for row in rows]


def _in_use(call: Call, symbol: str | None) -> list[Position]:
    """Positions of symbols that have one or have open orders."""
    orders = call.exchange.orders.open_orders(call.account_id, FUTURES, symbol)
    ordered = {order.symbol for order in orders}
    positions = call.exchange.futures.positions(call.account_id, symbol)
    return [row for row in positions if row.quantity or row.symbol in ordered]


def _listed_symbol(call: Call) -> str | None:
    """The optional symbol. Raises -1121."""
    symbol = call.params.optional_symbol()
    if symbol is not None:
        call.exchange.market_data.spec(FUTURES, symbol)
    return symbol


def _configuration(call: Call) -> Payload:
    permissions = call.signer.key.permissions if call.signer is not None else frozenset()
    return {
        "feeTier": 0,
        "feeBurn": call.exchange.accounts.pays_fees_in_bnb(call.account_id),
        "canTrade": Permission.FUTURES in permissions,
        "canDeposit": True,
        "canWithdraw": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def _bracket(spec: SymbolSpec, call: Call) -> Payload:
    position = call.exchange.futures.positions(call.account_id, spec.symbol)[0]
    return {
        "symbol": spec.symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": 1,
                "initialLeverage": spec.max_leverage,
                "notionalCap": int(position.max_notional),
                "notionalFloor": 0,
                "maintMarginRatio": float(spec.maintenance_margin_frac),
                "cum": 0.0,
            }
        ],
    }


def _alias(call: Call) -> str:
    return f"{uid(call.account_id):08x}"


ROUTES = (
    Route("GET", "/fapi/v2/account", account_v2, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v3/account", account_v3, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v2/balance", balance, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v3/balance", balance, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v2/positionRisk", position_risk_v2, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v3/positionRisk", position_risk_v3, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/accountConfig", account_config, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/symbolConfig", symbol_config, 5, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/income", income, 30, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/commissionRate", commission_rate, 20, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/leverageBracket", leverage_bracket, 1, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/feeBurn", fee_burn, 30, Security.DATA, market=FUTURES),
    Route("GET", "/fapi/v1/rateLimit/order", order_counts, 1, Security.DATA, market=FUTURES),
    Route("POST", "/fapi/v1/listenKey", create_listen_key, 1, Security.KEY, market=FUTURES),
    Route("PUT", "/fapi/v1/listenKey", renew_listen_key, 1, Security.KEY, market=FUTURES),
    Route("DELETE", "/fapi/v1/listenKey", close_listen_key, 1, Security.KEY, market=FUTURES),
)

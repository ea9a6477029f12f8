"""Methods of the two WebSocket APIs: each is a REST route under another name, so both do and cost the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine_service.exchange_sim.binance_wire.app_context import Route
from engine_service.exchange_sim.enums import Market

_SPOT = {
    "ping": "GET /api/v3/ping",
    "time": "GET /api/v3/time",
    "exchangeInfo": "GET /api/v3/exchangeInfo",
    "depth": "GET /api/v3/depth",
    "trades.recent": "GET /api/v3/trades",
    "trades.historical": "GET /api/v3/historicalTrades",
    "trades.aggregate": "GET /api/v3/aggTrades",
    "klines": "GET /api/v3/klines",
    "uiKlines": "GET /api/v3/uiKlines",
    "avgPrice": "GET /api/v3/avgPrice",
    "ticker": "GET /api/v3/ticker",
    "ticker.tradingDay": "GET /api/v3/ticker/tradingDay",
    "ticker.24hr": "GET /api/v3/ticker/24hr",
    "ticker.price": "GET /api/v3/ticker/price",
    "ticker.book": "GET /api/v3/ticker/bookTicker",
    "order.place": "POST /api/v3/order",
    "order.test": "POST /api/v3/order/test",
    "order.status": "GET /api/v3/order",
    "order.cancel": "DELETE /api/v3/order",
    "order.cancelReplace": "POST /api/v3/order/cancelReplace",
    "order.amend.keepPriority": "PUT /api/v3/order/amend/keepPriority",
    "orderList.place.oco": "POST /api/v3/orderList/oco",
    "orderList.cancel": "DELETE /api/v3/orderList",
    "orderList.status": "GET /api/v3/orderList",
    "openOrderLists.status": "GET /api/v3/openOrderList",
    "allOrderLists": "GET /api/v3/allOrderList",
    "openOrders.status": "GET /api/v3/openOrders",
    "openOrders.cancelAll": "DELETE /api/v3/openOrders",
    "account.status": "GET /api/v3/account",
    "account.commission": "GET /api/v3/account/commission",
    "account.rateLimits.orders": "GET /api/v3/rateLimit/order",
    "allOrders": "GET /api/v3/allOrders",
    "myTrades": "GET /api/v3/myTrades",
}
_FUTURES = {
    "depth": "GET /fapi/v1/depth",
    "ticker.price": "GET /fapi/v1/ticker/price",
    "ticker.book": "GET /fapi/v1/ticker/bookTicker",
    "order.place": "POST /fapi/v1/order",
    "order.modify": "PUT /fapi/v1/order",
    "order.status": "GET /fapi/v1/order",
    "order.cancel": "DELETE /fapi/v1/order",
    "algoOrder.place": "POST /fapi/v1/algoOrder",
    "algoOrder.cancel": "DELETE /fapi/v1/algoOrder",
    "account.balance": "GET /fapi/v2/balance",
    "v2/account.balance": "GET /fapi/v3/balance",
    "account.status": "GET /fapi/v2/account",
    "v2/account.status": "GET /fapi/v3/account",
    "account.position": "GET /fapi/v2/positionRisk",
    "v2/account.position": "GET /fapi/v3/positionRisk",
    "userDataStream.start": "POST /fapi/v1/listenKey",
    "userDataStream.ping": "PUT /fapi/v1/listenKey",
    "userDataStream.stop": "DELETE /fapi/v1/listenKey",
}
_NAMES = {Market.SPOT: _SPOT, Market.FUTURES: _FUTURES}
_OWN_VERSION = {Market.SPOT: "v3/", Market.FUTURES: "v1/"}


def method_table(market: Market, routes: Iterable[Route]) -> Mapping[str, Route]:
    """The market's methods that are among the routes served."""
    by_name = {f"{route.method} {route.path}": route for route in routes}
    return {method: by_name[name] for method, name in _NAMES[market].items() if name in by_name}


def without_version(market: Market, method: str) -> str:
    """A method's plain name: clients may write the API's own version in front."""
    return method.removeprefix(_OWN_VERSION[market])

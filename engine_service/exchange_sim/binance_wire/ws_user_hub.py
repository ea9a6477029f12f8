"""Reports to accounts: every account event becomes wire events and goes to whoever listens to that account.

Faults are applied here: a report may be sent twice, later than its followers, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import get_args

import msgspec

from engine_service.exchange_sim.binance_wire import ws_payloads_user as payloads
from engine_service.exchange_sim.binance_wire.ws_text import TimeUnit
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.events import (
    AccountEvent,
    AlgoEvent,
    ExecutionType,
    FuturesAccountEvent,
    LeverageEvent,
    ListEvent,
    MarketEvent,
    OrderEvent,
    SpotBalanceEvent,
    SpotPositionEvent,
)
from engine_service.exchange_sim.exchange import Exchange


class Report(msgspec.Struct, frozen=True):
    """One wire event of an account; `build` makes its payload in a time unit."""

    name: str
    market: Market
    account_id: str
    symbol: str
    build: Callable[[TimeUnit], payloads.Payload]


Listener = Callable[[Report], None]


class UserHub:
    """All listeners of one market's user streams."""

    def __init__(self, exchange: Exchange, market: Market) -> None:
        self._exchange = exchange
        self._market = market
        self._listeners: dict[str, dict[object, Listener]] = {}
        exchange.subscribe(self.on_event, *get_args(AccountEvent))

    def listen(self, account_id: str, owner: object, listener: Listener) -> None:
        """Deliver an account's reports until `leave`. `owner` identifies the listener."""
        self._listeners.setdefault(account_id, {})[owner] = listener

    def leave(self, account_id: str, owner: object) -> None:
        """Stop delivering; harmless when it was not listening."""
        listeners = self._listeners.get(account_id, {})
        listeners.pop(owner, None)
        if not listeners:
            self._listeners.pop(account_id, None)

    def on_event(self, event: MarketEvent | AccountEvent) -> None:
        """Report an account event of this market."""
        if isinstance(event, MarketEvent) or event.account_id not in self._listeners:
            return
        if _market_of(event) is self._market:
            for report in reports_of(event):
                self._send(report)

    def _send(self, report: Report) -> None:
        faults = self._exchange.faults
        for delay_ms in faults.reports(report.name, report.market, report.account_id, report.symbol):
            if delay_ms:
                asyncio.get_running_loop().call_later(delay_ms / 1000, self._deliver, report)
            else:
                self._deliver(report)

    def _deliver(self, report: Report) -> None:
        for listener in list(self._listeners.get(report.account_id, {}).values()):
            listener(report)


def reports_of(event: AccountEvent) -> list[Report]:
    """The wire events that one account event causes, in the order in which the venue sends them."""
    market, account_id = _market_of(event), event.account_id
    build: Callable[[TimeUnit], payloads.Payload]
    match event:
        case OrderEvent():
            return _order_reports(event)
        case SpotPositionEvent():
            name, symbol, build = "outboundAccountPosition", "", partial(payloads.outbound_account_position, event)
        case SpotBalanceEvent():
            name, symbol, build = "balanceUpdate", "", partial(payloads.balance_update, event)
        case ListEvent():
            name, symbol, build = "listStatus", event.order_list.symbol, partial(payloads.list_status, event)
        case FuturesAccountEvent():
            name, symbol, build = "ACCOUNT_UPDATE", "", lambda _: payloads.account_update(event)
        case LeverageEvent():
            name, symbol, build = "ACCOUNT_CONFIG_UPDATE", event.symbol, lambda _: payloads.account_config_update(event)
        case AlgoEvent():
            name, symbol, build = "ALGO_UPDATE", event.order.symbol, lambda _: payloads.algo_update(event)
    return [Report(name, market, account_id, symbol, build)]


def _order_reports(event: OrderEvent) -> list[Report]:
    market, account_id, symbol, trade = event.market, event.account_id, event.order.symbol, event.trade
    if market is Market.SPOT:
        return [Report("executionReport", market, account_id, symbol, partial(payloads.execution_report, event))]
    full = Report("ORDER_TRADE_UPDATE", market, account_id, symbol, lambda _: payloads.order_trade_update(event))
    if trade is None or event.execution_type is not ExecutionType.TRADE:
        return [full]
    return [Report("TRADE_LITE", market, account_id, symbol, lambda _: payloads.trade_lite(event, trade)), full]


def _market_of(event: AccountEvent) -> Market:
    if isinstance(event, OrderEvent):
        return event.market
    return Market.SPOT if isinstance(event, SpotPositionEvent | SpotBalanceEvent | ListEvent) else Market.FUTURES

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
    if isinstance(event, OrderEvent):
        return _order_reports(event)
    return [_report(event, *_named_builder(event))]


def _named_builder(
    event: SpotPositionEvent | SpotBalanceEvent | FuturesAccountEvent | LeverageEvent | AlgoEvent | ListEvent,
) -> tuple[str, Callable[[TimeUnit], payloads.Payload]]:
    match event:
        case SpotPositionEvent():
            return "outboundAccountPosition", partial(payloads.outbound_account_position, event)
        case SpotBalanceEvent():
            return "balanceUpdate", partial(payloads.balance_update, event)
        case ListEvent():
            return "listStatus", partial(payloads.list_status, event)
        case FuturesAccountEvent():
            return "ACCOUNT_UPDATE", lambda _: payloads.account_update(event)
        case LeverageEvent():
            return "ACCOUNT_CONFIG_UPDATE", lambda _: payloads.account_config_update(event)
        case AlgoEvent():
            return "ALGO_UPDATE", lambda _: payloads.algo_update(event)


def _order_reports(event: OrderEvent) -> list[Report]:
    if event.market is Market.SPOT:
        return [_report(event, "executionReport", partial(payloads.execution_report, event))]
    full = _report(event, "ORDER_TRADE_UPDATE", lambda _: payloads.order_trade_update(event))
    trade = event.trade
    if trade is None or event.execution_type is not ExecutionType.TRADE:
        return [full]
    return [_report(event, "TRADE_LITE", lambda _: payloads.trade_lite(event, trade)), full]


def _report(event: AccountEvent, name: str, build: Callable[[TimeUnit], payloads.Payload]) -> Report:
    return Report(name, _market_of(event), event.account_id, _symbol_of(event), build)


def _market_of(event: AccountEvent) -> Market:
    if isinstance(event, OrderEvent):
        return event.market
    return Market.SPOT if isinstance(event, SpotPositionEvent | SpotBalanceEvent | ListEvent) else Market.FUTURES


def _symbol_of(event: AccountEvent) -> str:
    if isinstance(event, OrderEvent | AlgoEvent):
        return event.order.symbol
    if isinstance(event, ListEvent):
        return event.order_list.symbol
    return event.symbol if isinstance(event, LeverageEvent) else ""

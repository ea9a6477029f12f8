"""What the exchange publishes while it runs: market events by stream key, and reports to accounts.

A subscriber gets every event by one synchronous callback, inside the exchange's own call, so it must only
queue. Market events are produced only while someone `watch`es their key (see `Exchange.watch`); account
events are always produced, in the order in which they happened.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from engine_service.exchange_sim.enums import Market, Word
from engine_service.exchange_sim.model import AlgoOrder, Balance, OrderList, Position, SimOrder, SimTrade
from engine_service.exchange_sim.public_data import (
    AggTrade,
    Bar,
    BookTop,
    Level,
    MarkPrice,
    PublicTrade,
    Ticker24h,
)


class Channel(Word):
    """Kinds of market stream."""

    TRADE = "trade"
    AGG_TRADE = "aggTrade"
    KLINE = "kline"
    BOOK_TICKER = "bookTicker"
    DEPTH = "depth"
    TICKER = "ticker"  # 24 h statistics, once a second; also feeds miniTicker
    MARK_PRICE = "markPrice"  # once a second, USD-M


class StreamKey(NamedTuple):
    """What to watch. `interval` only for KLINE (`1s`, `1m`, ...), else empty."""

    channel: Channel
    market: Market
    symbol: str
    interval: str = ""


class TradeEvent(msgspec.Struct, frozen=True, gc=False):
    key: StreamKey
    trade: PublicTrade
    at_ms: int


class AggTradeEvent(msgspec.Struct, frozen=True, gc=False):
    key: StreamKey
    trade: AggTrade
    at_ms: int


class KlineEvent(msgspec.Struct, frozen=True, gc=False):
    """A bar as it stands; `closed` exactly once per bar."""

    key: StreamKey
    bar: Bar
    closed: bool
    at_ms: int


class BookTickerEvent(msgspec.Struct, frozen=True, gc=False):
    key: StreamKey
    top: BookTop
    at_ms: int


class DepthEvent(msgspec.Struct, frozen=True, gc=False):
    """Changed levels since the last event: `first_update_id` = last event's `last_update_id` + 1.

    `previous_update_id` is that last id (USD-M `pu`).
    """

    key: StreamKey
    first_update_id: int
    last_update_id: int
    previous_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    at_ms: int


class TickerEvent(msgspec.Struct, frozen=True, gc=False):
    key: StreamKey
    ticker: Ticker24h
    top: BookTop
    at_ms: int


class MarkPriceEvent(msgspec.Struct, frozen=True, gc=False):
    key: StreamKey
    mark: MarkPrice
    at_ms: int


MarketEvent = TradeEvent | AggTradeEvent | KlineEvent | BookTickerEvent | DepthEvent | TickerEvent | MarkPriceEvent


class ExecutionType(Word):
    """Binance's `x` of a report."""

    NEW = "NEW"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"  # spot: amended keeping priority
    AMENDMENT = "AMENDMENT"  # USD-M: modified
    REJECTED = "REJECTED"
    TRADE = "TRADE"
    EXPIRED = "EXPIRED"
    TRADE_PREVENTION = "TRADE_PREVENTION"
    CALCULATED = "CALCULATED"  # liquidation


class OrderEvent(msgspec.Struct, frozen=True, gc=False):
    """executionReport on spot, ORDER_TRADE_UPDATE on USD-M.

    `request_client_id` is the id of the cancel or amend request that caused it (spot `c`, with the order's own id
    in `C`), empty otherwise.
    """

    account_id: str
    market: Market
    execution_type: ExecutionType
    order: SimOrder
    trade: SimTrade | None
    execution_id: int
    at_ms: int
    request_client_id: str = ""
    reject_reason: str = "NONE"


class SpotPositionEvent(msgspec.Struct, frozen=True, gc=False):
    """outboundAccountPosition: balances of the assets that may have changed."""

    account_id: str
    balances: tuple[Balance, ...]
    at_ms: int


class SpotBalanceEvent(msgspec.Struct, frozen=True, gc=False):
    """balanceUpdate: a deposit, withdrawal or transfer (not a trade)."""

    account_id: str
    asset: str
    delta: Decimal
    at_ms: int


class WalletChange(msgspec.Struct, frozen=True, gc=False):
    """A futures wallet in an ACCOUNT_UPDATE. `change` excludes realised PnL and commission (`bc`)."""

    asset: str
    wallet: Decimal
    cross_wallet: Decimal
    change: Decimal


class FuturesAccountEvent(msgspec.Struct, frozen=True, gc=False):
    """ACCOUNT_UPDATE. `reason`: ORDER, FUNDING_FEE, DEPOSIT, WITHDRAW, MARGIN_TYPE_CHANGE, INSURANCE_CLEAR."""

    account_id: str
    reason: str
    balances: tuple[WalletChange, ...]
    positions: tuple[Position, ...]
    at_ms: int


class LeverageEvent(msgspec.Struct, frozen=True, gc=False):
    """ACCOUNT_CONFIG_UPDATE after a change of leverage."""

    account_id: str
    symbol: str
    leverage: int
    at_ms: int


class AlgoEvent(msgspec.Struct, frozen=True, gc=False):
    """ALGO_UPDATE: a conditional order changed."""

    account_id: str
    order: AlgoOrder
    at_ms: int


class ListEvent(msgspec.Struct, frozen=True, gc=False):
    """listStatus: a spot order list was taken in, or is done."""

    account_id: str
    order_list: OrderList
    legs: tuple[SimOrder, ...]
    at_ms: int


AccountEvent = (
    OrderEvent | SpotPositionEvent | SpotBalanceEvent | FuturesAccountEvent | LeverageEvent | AlgoEvent | ListEvent
)

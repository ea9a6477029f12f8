"""The exchange: one object that the wire layers talk to.

    exchange.accounts      keys and accounts                       accounts.AccountBook
    exchange.market_data   everything public                        market_data.MarketData
    exchange.orders        orders of both markets                   order_desk.OrderDesk
    exchange.lists         spot order lists (OCO)                  order_lists.OrderLists
    exchange.algo          conditional USD-M orders                 algo_desk.AlgoDesk
    exchange.spot          spot balances                            ledger.SpotLedger
    exchange.futures       USD-M wallets, positions, settings       futures_desk.FuturesDesk
    exchange.faults        faults in force                          faults.Faults

Every refusal is an `ExchangeError`. All calls are synchronous, on the event loop's thread. Time comes from a clock
given at construction; `advance_to` moves the market.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine_service.domain.clock import Clock
from engine_service.exchange_sim.accounts import AccountBook
from engine_service.exchange_sim.algo_desk import AlgoDesk
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.event_bus import EventBus, Subscriber
from engine_service.exchange_sim.events import (
    Channel,
    MarkPriceEvent,
    SpotBalanceEvent,
    StreamKey,
    TickerEvent,
)
from engine_service.exchange_sim.faults import Faults
from engine_service.exchange_sim.funding import FundingBoard
from engine_service.exchange_sim.futures_desk import FuturesDesk
from engine_service.exchange_sim.futures_ledger import FuturesLedger
from engine_service.exchange_sim.futures_margin import FuturesMargin
from engine_service.exchange_sim.futures_settings import FuturesSettings
from engine_service.exchange_sim.futures_settlement import FuturesSettlement
from engine_service.exchange_sim.intervals import check_interval
from engine_service.exchange_sim.ledger import SpotLedger
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.listings import Listings
from engine_service.exchange_sim.live_market import LiveMarket
from engine_service.exchange_sim.market_data import MarketData, ticker_of
from engine_service.exchange_sim.market_setup import Member
from engine_service.exchange_sim.matching_engine import MatchingEngine
from engine_service.exchange_sim.order_desk import OrderDesk
from engine_service.exchange_sim.order_lists import OrderLists
from engine_service.exchange_sim.order_store import OrderStore
from engine_service.exchange_sim.price_paths import PathBlock, PathSource
from engine_service.exchange_sim.public_data import RegimePoint
from engine_service.exchange_sim.settlement import Settlement
from engine_service.exchange_sim.spot_settlement import SpotSettlement
from engine_service.exchange_sim.spot_stops import SpotStops


@dataclass(frozen=True, slots=True)
class MarketStart:
    """Where the market comes from: its source, the past taken from it, and the listings made of both."""

    source: PathSource
    history: PathBlock
    first_open_ms: int
    followers: list[tuple[Member, Listing]]


class Exchange:
    """Both markets, their accounts and their money."""

    def __init__(
        self,
        start: MarketStart,
        accounts: AccountBook,
        bus: EventBus,
        faults: Faults,
        clock: Clock,
        fee_rate: Decimal,
        funding_interval_ms: int,
    ) -> None:
        """`fee_rate`: fraction of the notional, for makers and takers. Use `bootstrap.build_exchange`."""
        self._clock = clock
        self._bus = bus
        self.faults = faults
        self.accounts = accounts
        self.listings = Listings([listing for _, listing in start.followers])
        self.store = OrderStore()
        self.spot = SpotLedger()
        self.futures_ledger = FuturesLedger()
        self._funding = FundingBoard(self.listings, funding_interval_ms, clock.now_ms())
        self.market_data = MarketData(self.listings, self._funding, self.server_time_ms)

        self.contracts = {listing.spec.symbol: listing for listing in self.listings.of(Market.FUTURES)}
        settings = FuturesSettings()
        margin = FuturesMargin(
            self.futures_ledger, settings, self.store, self.listings.specs(Market.FUTURES), self._mark_of
        )
        spot_money = SpotSettlement(self.spot, accounts, fee_rate, self.listings.spot_price, bus)
        futures_money = FuturesSettlement(self.futures_ledger, margin, fee_rate, bus)
        settlements: dict[Market, Settlement] = {Market.SPOT: spot_money, Market.FUTURES: futures_money}
        engine = MatchingEngine(self.store, settlements, self.listings, bus)
        self._stops = SpotStops(self.store, engine, spot_money, self.spot)
        self.orders = OrderDesk(
            self.store, self.listings, engine, self._stops, settings, self.server_time_ms, self._catch_up
        )
        self.lists = OrderLists(
            self.store, self.listings, engine, self._stops, self.orders, self.spot, bus, self.server_time_ms
        )
        self.algo = AlgoDesk(self.listings, self.orders, margin, settings, bus, self.server_time_ms)
        self.futures = FuturesDesk(
            self.futures_ledger,
            margin,
            settings,
            futures_money,
            self.orders,
            self.listings,
            fee_rate,
            bus,
            self.server_time_ms,
        )
        self.market = LiveMarket(
            start.source, start.followers, engine, start.history, start.first_open_ms, self._after_tick
        )

    # -- time --------------------------------------------------------------------------------------

    def server_time_ms(self) -> int:
        """The exchange's clock: epoch ms, with any skew fault in it."""
        return self._clock.now_ms() + self.faults.clock_skew_ms

    def advance_to(self, now_ms: int) -> None:
        """Let the market run up to a time: ticks, bars, resting fills, triggers, funding, liquidation."""
        while (due_ms := self.market.next_tick_ms) <= now_ms:
            if self.market.step():
                self._after_second(due_ms)

    def _catch_up(self) -> None:
        self.advance_to(self._clock.now_ms())

    @property
    def next_tick_ms(self) -> int:
        """When the market moves next."""
        return self.market.next_tick_ms

    def _after_tick(self, listing: Listing, at_ms: int) -> None:
        if listing.spec.market is Market.SPOT:
            self._stops.check(listing, at_ms)
        else:
            self.algo.check(listing, at_ms)

    def _after_second(self, at_ms: int) -> None:
        if self._funding.is_due(at_ms):
            self.futures.pay_funding(self._funding.fix())
        self.orders.expire_due(at_ms)
        self.futures.liquidate(at_ms)
        for listing in self.listings.values():
            self._publish_statistics(listing, at_ms)

    def _publish_statistics(self, listing: Listing, at_ms: int) -> None:
        ticker_key, mark_key = listing.key(Channel.TICKER), listing.key(Channel.MARK_PRICE)
        if self._bus.is_watched(ticker_key):
            event = TickerEvent(ticker_key, ticker_of(listing), listing.top(at_ms), at_ms)
            self._bus.publish(event)
        if listing.spec.market is Market.FUTURES and self._bus.is_watched(mark_key):
            premium = self._funding.premium(listing, at_ms)
            self._bus.publish(MarkPriceEvent(mark_key, premium, at_ms))

    # -- streams -----------------------------------------------------------------------------------

    def subscribe(self, callback: Subscriber, *kinds: type) -> None:
        """Have events delivered: every one, or those of certain kinds. The callback must only queue.

        Market events come only for watched keys.
        """
        self._bus.subscribe(callback, *kinds)

    def watch(self, key: StreamKey) -> None:
        """Ask for a market stream; counted, so each watch needs its `unwatch`.

        Raises:
            ExchangeError: -1121 unknown symbol, -1120 unknown kline interval.
        """
        listing = self.listings[key.market, key.symbol]
        if key.channel is Channel.KLINE:
            check_interval(key.interval)
        if key.channel is Channel.DEPTH and not self._bus.is_watched(key):
            listing.start_depth()
        self._bus.watch(key)

    def unwatch(self, key: StreamKey) -> None:
        """Take one watch back."""
        self._bus.unwatch(key)

    # -- what an operator may do -------------------------------------------------------------------

    def deposit(self, account_id: str, market: Market, asset: str, amount: Decimal) -> None:
        """Move money into an account's wallet (negative: out of it), and report it.

        Raises:
            ExchangeError: -2010 or -2019 when more would go out than is there.
        """
        now = self.server_time_ms()
        if market is Market.FUTURES:
            self.futures.transfer(account_id, asset, amount)
            return
        self.spot.deposit(account_id, asset, amount)
        self._bus.publish(SpotBalanceEvent(account_id, asset, amount, now))

    def regimes(self, start_ms: int | None = None, end_ms: int | None = None) -> list[RegimePoint]:
        """The true regime of every closed second; empty for recorded bars."""
        return self.market.regimes(start_ms, end_ms)

    def _mark_of(self, symbol: str) -> Decimal:
        """A contract's mark: the last one where it is no longer listed, accounts may hold it still."""
        return self.contracts[symbol].mark_price

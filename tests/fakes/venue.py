"""A venue in memory that does what the script says, and keeps its own ledger to compare with."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from engine_service.domain.clock import ManualClock
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.venues.port import AmendRequest, SendWindow, VenueInfo, VenueUnavailable
from engine_service.venues.reports import (
    Accepted,
    AccountSnapshot,
    Balance,
    BarReport,
    MarketEvent,
    NotFoundReport,
    OrderReport,
    OutcomeUnknown,
    QueryOutcome,
    ReadFailed,
    Rejected,
    SubmitOutcome,
    UserEvent,
    VenuePosition,
)

D = Decimal
INSTRUMENTS = (
    Instrument(
        symbol="BTCUSDT.BINANCE",
        market=Market.SPOT,
        base="BTC",
        quote="USDT",
        tick=D("0.01"),
        step=D("0.00001"),
        min_quantity=D("0.00001"),
        max_quantity=D("9000"),
        min_notional=D("5"),
    ),
    Instrument(
        symbol="ETHUSDT.BINANCE",
        market=Market.SPOT,
        base="ETH",
        quote="USDT",
        tick=D("0.01"),
        step=D("0.0001"),
        min_quantity=D("0.0001"),
        min_notional=D("5"),
    ),
    Instrument(
        symbol="ETHBTC.BINANCE",
        market=Market.SPOT,
        base="ETH",
        quote="BTC",
        tick=D("0.00001"),
        step=D("0.0001"),
        min_quantity=D("0.0001"),
        min_notional=D("0.0001"),
    ),
    Instrument(
        symbol="BTCUSDT.BINANCE",
        market=Market.FUTURES,
        base="BTC",
        quote="USDT",
        tick=D("0.1"),
        step=D("0.001"),
        min_quantity=D("0.001"),
        min_notional=D("5"),
    ),
)


@dataclass(slots=True)
class VenueOrder:
    """The venue's own record of an order."""

    order: Order
    venue_order_id: str
    status: OrderStatus
    executed: Decimal = ZERO
    fills: list[Fill] = field(default_factory=list)


Hook = Callable[["FakeVenue", Order], Awaitable[None]]


@dataclass(slots=True)
class Script:
    """What happens to the next request. ``act``: whether the venue executes it. ``say``: its answer."""

    act: bool = True
    say: SubmitOutcome | None = None
    during: Hook | None = None
    raises: BaseException | None = None
    rest: bool = False
    fill_part: Decimal | None = None


class FakeVenue:
    """Fills market orders at ``prices``, rests limit orders; each ``scripts`` entry bends one request."""

    def __init__(self, clock: ManualClock, *, markets: tuple[Market, ...] = (Market.SPOT,)) -> None:
        self.clock = clock
        self.markets = markets
        self.prices: dict[str, Decimal] = {
            "BTCUSDT.BINANCE": D("50000"),
            "ETHUSDT.BINANCE": D("2500"),
            "ETHBTC.BINANCE": D("0.05"),
        }
        self.orders: dict[str, VenueOrder] = {}
        self.balances: dict[tuple[Market, str], Decimal] = {(m, "USDT"): D("10000") for m in markets}
        self.positions: dict[str, VenuePosition] = {}
        self.trades: list[Fill] = []
        self.scripts: deque[Script] = deque()
        self.cancel_scripts: deque[Script] = deque()
        self.submits: list[Order] = []
        self.cancels: list[str] = []
        self.reads: list[str] = []
        self.query_answers: deque[QueryOutcome] = deque()
        self.down = False
        self.clock_ahead_ms = 0
        self.names_traded_orders = False
        self.fee_asset = "USDT"
        self.fee_rate = D("0.001")
        self._next = 1

    @property
    def info(self) -> VenueInfo:
        window = SendWindow(validity_ms=3_000, engine_timeout_ms=10_000, lag_ms=5_000)
        return VenueInfo(name="BINANCE", markets=self.markets, account="test", window=window)

    async def open(self) -> None:
        if self.down:
            raise VenueUnavailable("VENUE_DOWN", "scripted")

    async def close(self) -> None:
        return

    def venue_time_ms(self) -> int:
        return self.clock.now_ms() + self.clock_ahead_ms

    async def instruments(self) -> Sequence[Instrument]:
        return [i for i in INSTRUMENTS if i.market in self.markets]

    # --- requests -----------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> SubmitOutcome:
        self.submits.append(order)
        script = self.scripts.popleft() if self.scripts else Script()
        if script.act:
            self.place(order, script)
        if script.during is not None:
            await script.during(self, order)
        if script.raises is not None:
            raise script.raises
        return script.say or self._accepted(order.client_order_id)

    async def cancel(self, order: Order) -> SubmitOutcome:
        self.cancels.append(order.client_order_id)
        script = self.cancel_scripts.popleft() if self.cancel_scripts else Script()
        if script.during is not None:
            await script.during(self, order)
        found = self.orders.get(order.client_order_id)
        if script.act and found is not None and not found.status.is_terminal:
            found.status = OrderStatus.CANCELED
        elif script.say is None:
            return Rejected(code="VENUE_ORDER_UNKNOWN", reason="unknown order")
        return script.say or self._accepted(order.client_order_id)

    async def amend(self, request: AmendRequest) -> SubmitOutcome:
        script = self.scripts.popleft() if self.scripts else Script()
        old = self.orders[request.order.client_order_id]
        if script.during is not None:
            await script.during(self, request.order)
        if script.say is not None and not script.act:
            return script.say
        if not request.replacement_client_order_id:
            quantity = request.quantity or old.order.quantity
            old.order = replace(old.order, quantity=quantity, limit_price=request.limit_price or old.order.limit_price)
            return script.say or self._accepted(request.order.client_order_id)
        old.status = OrderStatus.CANCELED
        new = replace(
            request.order,
            client_order_id=request.replacement_client_order_id,
            quantity=(request.quantity or request.order.quantity or ZERO) - old.executed,
            limit_price=request.limit_price or request.order.limit_price,
            filled_quantity=ZERO,
        )
        self.place(new, Script())
        return script.say or self._accepted(new.client_order_id)

    def place(self, order: Order, script: Script | None = None) -> VenueOrder:
        """Take an order as a venue would, whoever sent it."""
        script = script or Script()
        record = VenueOrder(order, str(self._next), OrderStatus.ACCEPTED)
        self._next += 1
        self.orders[order.client_order_id] = record
        if order.type is OrderType.MARKET and not script.rest:
            part = script.fill_part or order.quantity or ZERO
            self.fill(order.client_order_id, part)
        return record

    def fill(self, cid: str, quantity: Decimal, price: Decimal | None = None) -> Fill:
        """Trade some of an order and settle it on the venue's own ledger."""
        record = self.orders[cid]
        order = record.order
        price = price or order.limit_price or self.prices[order.symbol]
        fee_asset = self.fee_asset
        instrument = next(i for i in INSTRUMENTS if (i.symbol, i.market) == (order.symbol, order.market))
        if fee_asset == "BASE":
            fee_asset = instrument.base if order.side is OrderSide.BUY else instrument.quote
        fee = quantity * (D(1) if fee_asset == instrument.base else price) * self.fee_rate
        fill = Fill(
            venue="BINANCE",
            market=order.market,
            symbol=order.symbol,
            trade_id=str(1000 + len(self.trades)),
            client_order_id=cid,
            venue_order_id=record.venue_order_id,
            side=order.side,
            price=price,
            quantity=quantity,
            fee=fee,
            fee_asset=fee_asset,
            at_ms=self.clock.now_ms(),
        )
        record.fills.append(fill)
        record.executed += quantity
        full = order.quantity is not None and record.executed >= order.quantity
        if record.status not in {OrderStatus.CANCELED}:
            record.status = OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED
        self.trades.append(fill)
        self._settle(fill, instrument)
        return fill

    def _settle(self, fill: Fill, instrument: Instrument) -> None:
        if fill.market is Market.SPOT:
            self._add(fill.market, instrument.base, fill.quantity * fill.side.sign)
            self._add(fill.market, instrument.quote, -fill.price * fill.quantity * fill.side.sign)
        else:
            known = self.positions.get(fill.symbol)
            quantity = (known.signed_quantity if known else ZERO) + fill.quantity * fill.side.sign
            self.positions[fill.symbol] = VenuePosition(
                symbol=fill.symbol, signed_quantity=quantity, entry_price=fill.price, mark_price=fill.price
            )
        self._add(fill.market, fill.fee_asset, -fill.fee)

    def _add(self, market: Market, asset: str, amount: Decimal) -> None:
        self.balances[(market, asset)] = self.balances.get((market, asset), ZERO) + amount

    def deposit(self, asset: str, amount: Decimal, market: Market = Market.SPOT) -> None:
        """Move money in or out behind the engine's back."""
        self._add(market, asset, amount)

    def _accepted(self, cid: str) -> Accepted:
        record = self.orders[cid]
        return Accepted(
            venue_order_id=record.venue_order_id,
            status=record.status,
            fills=tuple(record.fills),
            executed_quantity=record.executed,
        )

    # --- reads --------------------------------------------------------------------------------------------

    def report(self, cid: str, *, with_fill: Fill | None = None) -> OrderReport:
        """Return what a stream or a query would say now."""
        record = self.orders[cid]
        order = record.order
        return OrderReport(
            symbol=order.symbol,
            market=order.market,
            client_order_id=cid,
            venue_order_id=record.venue_order_id,
            side=order.side,
            type=order.type,
            status=record.status,
            quantity=order.quantity or ZERO,
            executed_quantity=record.executed,
            limit_price=order.limit_price,
            at_ms=self.clock.now_ms(),
            fill=with_fill,
        )

    async def query_order(self, order: Order) -> QueryOutcome:
        self.reads.append("order")
        if self.query_answers:
            return self.query_answers.popleft()
        if self.down:
            return ReadFailed(reason="scripted")
        if order.client_order_id not in self.orders:
            return NotFoundReport(endpoint="order")
        return self.report(order.client_order_id)

    async def query_fills(self, order: Order) -> tuple[Fill, ...] | ReadFailed:
        self.reads.append("fills")
        if self.down:
            return ReadFailed(reason="scripted")
        record = self.orders.get(order.client_order_id)
        return () if record is None else tuple(record.fills)

    async def query_open_order(self, order: Order) -> QueryOutcome:
        self.reads.append("open")
        if self.down:
            return ReadFailed(reason="scripted")
        record = self.orders.get(order.client_order_id)
        if record is None or record.status.is_terminal:
            return NotFoundReport(endpoint="open")
        return self.report(order.client_order_id)

    async def account(self, market: Market) -> AccountSnapshot:
        if self.down:
            raise VenueUnavailable("VENUE_DOWN", "scripted")
        return AccountSnapshot(
            venue="BINANCE",
            market=market,
            at_ms=self.clock.now_ms(),
            balances=tuple(
                Balance(asset=asset, free=amount) for (m, asset), amount in self.balances.items() if m is market
            ),
            positions=tuple(self.positions.values()) if market is Market.FUTURES else (),
            open_orders=tuple(
                self.report(cid)
                for cid, record in self.orders.items()
                if record.order.market is market and not record.status.is_terminal
            ),
        )

    async def fills_since(
        self, market: Market, symbol: str, from_trade_id: str | None, since_ms: int
    ) -> Sequence[Fill]:
        if self.down:
            raise VenueUnavailable("VENUE_DOWN", "scripted")
        after = int(from_trade_id) if from_trade_id else -1
        return [
            fill if self.names_traded_orders else replace(fill, client_order_id="")
            for fill in self.trades
            if fill.market is market and fill.symbol == symbol and int(fill.trade_id) > after
        ]

    async def bars(self, market: Market, symbol: str, interval: str, limit: int) -> Sequence[BarReport]:
        return []

    async def user_events(self) -> AsyncIterator[UserEvent]:
        return
        yield

    async def market_events(self, market: Market, symbols: Sequence[str], interval: str) -> AsyncIterator[MarketEvent]:
        return
        yield


def unknown(reason: str = "timed out") -> OutcomeUnknown:
    """Return the answer that is none."""
    return OutcomeUnknown(reason=reason)

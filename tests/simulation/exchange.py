"""The model venue: what truly happened. Own orders, own ledger, own trades; it knows nothing of the engine's books.

It behaves like the worst of the real ones: a client order id is unique among OPEN orders only, so a request sent twice
makes a second order. Every change of an order is kept with its time, so that reads can be answered late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import EXACT, QUANTUM, ZERO
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.venues.reports import BalanceReport, FundingReport, OrderReport, UserEvent
from tests.simulation.world import EPOCH_MS, World

D = Decimal
VENUE = "BINANCE"
SPOT, FUTURES = "BTCUSDT.BINANCE", "ETHUSDT.BINANCE"
FEE_RATE = D("0.001")
CASH = D("100000")
FEE_COIN = "BNB"
#: One instrument on either market, and the prices of everything in the reporting currency.
INSTRUMENTS = (
    Instrument(
        symbol=SPOT, market=Market.SPOT, base="BTC", quote="USDT", tick=D("0.01"), step=D("0.00001"), min_notional=D(5)
    ),
    Instrument(
        symbol=FUTURES, market=Market.FUTURES, base="ETH", quote="USDT", tick=D("0.01"), step=D("0.001")
    ),
)  # fmt: skip
RULES = {(rule.symbol, rule.market): rule for rule in INSTRUMENTS}
#: Venues tell entry prices with eight digits.
ENTRY_STEP = D("1e-8")
PRICES = {SPOT: D(50_000), FUTURES: D(2_500), "BNBUSDT.BINANCE": D(600)}


@dataclass(slots=True)
class VenueOrder:
    """The venue's record of one order. ``seen`` is its history: (seconds, what a read would have said)."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    market: Market
    side: OrderSide
    type: OrderType
    quantity: Decimal
    limit_price: Decimal | None
    status: OrderStatus = OrderStatus.ACCEPTED
    executed: Decimal = ZERO
    fills: list[Fill] = field(default_factory=list)
    seen: list[tuple[float, OrderReport]] = field(default_factory=list)
    external: bool = False

    @property
    def is_open(self) -> bool:
        return not self.status.is_terminal


@dataclass(slots=True)
class Position:
    """A signed futures position and what it cost, in quote."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal:
        """Return what a unit cost, with as many digits as a venue tells."""
        return EXACT.divide(self.cost, self.quantity).quantize(ENTRY_STEP) if self.quantity else ZERO


class Exchange:
    """Orders, ledger and trades; ``publish`` hears of every change the moment it happens."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.orders: dict[str, VenueOrder] = {}
        self.by_client_id: dict[str, list[VenueOrder]] = {}
        self.trades: list[Fill] = []
        self.balances: dict[tuple[Market, str], Decimal] = {(market, "USDT"): CASH for market in Market}
        self.balances[(Market.SPOT, FEE_COIN)] = D(10)
        self.opening_value = 2 * CASH + D(10) * PRICES[f"{FEE_COIN}USDT.{VENUE}"]
        self.positions: dict[str, Position] = {}
        self.deposited, self.funded = ZERO, ZERO
        self.fee_asset = "quote"
        self.publish: Callable[[UserEvent], None] = lambda event: None
        self.payments: list[FundingReport] = []

    @property
    def now_ms(self) -> int:
        return EPOCH_MS + int(self.world.now_s * 1000)

    # --- what requests do -----------------------------------------------------------------------------------

    def newest(self, client_order_id: str) -> VenueOrder | None:
        """Return the newest order of a client id."""
        found = self.by_client_id.get(client_order_id)
        return found[-1] if found else None

    def place(self, order: Order, slices: tuple[Decimal, ...] = (), *, external: bool = False) -> VenueOrder:
        """Take an order; a market order trades in ``slices`` at once and what is left of it expires."""
        record = VenueOrder(
            client_order_id=order.client_order_id,
            venue_order_id=str(len(self.orders) + 1),
            symbol=order.symbol,
            market=order.market,
            side=order.side,
            type=order.type,
            quantity=order.quantity or ZERO,
            limit_price=order.limit_price,
            external=external,
        )
        self.orders[record.venue_order_id] = record
        self.by_client_id.setdefault(record.client_order_id, []).append(record)
        self._tell(record)
        for part in slices:
            self.trade(record, part)
        if order.type is OrderType.MARKET and record.is_open:
            self.end(record, OrderStatus.EXPIRED)
        return record

    def end(self, record: VenueOrder, status: OrderStatus) -> None:
        """Cancel or expire what is left of an order."""
        if record.is_open:
            record.status = status
            self._tell(record)

    def change(self, record: VenueOrder, price: Decimal | None, quantity: Decimal | None) -> None:
        """Change an order where it stands; one that would have nothing left is cancelled."""
        record.limit_price = price or record.limit_price
        record.quantity = quantity or record.quantity
        self._tell(record)
        if record.executed >= record.quantity:
            self.end(record, OrderStatus.CANCELED)

    def trade(self, record: VenueOrder, quantity: Decimal) -> None:
        """Trade a part of an order and settle it."""
        quantity = min(quantity, record.quantity - record.executed)
        if not record.is_open or quantity <= 0:
            return
        price = record.limit_price or PRICES[record.symbol]
        rule = RULES[(record.symbol, record.market)]
        asset = self._fee_asset(record, rule)
        spent = quantity if asset == rule.base else price * quantity
        fill = Fill(
            venue=VENUE,
            market=record.market,
            symbol=record.symbol,
            trade_id=str(1_000 + len(self.trades)),
            client_order_id=record.client_order_id,
            venue_order_id=record.venue_order_id,
            side=record.side,
            price=price,
            quantity=quantity,
            fee=spent * FEE_RATE / (PRICES["BNBUSDT.BINANCE"] if asset == FEE_COIN else 1),
            fee_asset=asset,
            at_ms=self.now_ms,
        )
        fill = replace(fill, fee=fill.fee.quantize(D("1e-12")))
        notional = fill.price * fill.quantity * fill.side.sign
        if fill.market is Market.FUTURES:
            fill = replace(fill, realised=self._derivative(fill, notional))
        self.trades.append(fill)
        record.fills.append(fill)
        record.executed += quantity
        full = record.executed >= record.quantity
        record.status = OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED
        self._settle(fill, rule, notional)
        self._tell(record, fill)

    def _fee_asset(self, record: VenueOrder, rule: Instrument) -> str:
        if record.market is Market.FUTURES or self.fee_asset == "quote":
            return rule.quote
        if self.fee_asset == "base":
            return rule.base if record.side is OrderSide.BUY else rule.quote
        return FEE_COIN

    # --- the ledger -----------------------------------------------------------------------------------------

    def _settle(self, fill: Fill, rule: Instrument, notional: Decimal) -> None:
        if fill.market is Market.SPOT:
            self._add(fill.market, rule.base, fill.quantity * fill.side.sign)
            self._add(fill.market, rule.quote, -notional)
        elif isinstance(fill.realised, Decimal):
            self._add(fill.market, rule.quote, fill.realised)
        self._add(fill.market, fill.fee_asset, -fill.fee)

    def _derivative(self, fill: Fill, notional: Decimal) -> Decimal:
        """Move a futures position; return what closing a part of it earned."""
        held = self.positions.setdefault(fill.symbol, Position())
        signed = fill.quantity * fill.side.sign
        if held.quantity * signed >= 0:
            held.quantity, held.cost = held.quantity + signed, held.cost + notional
            return ZERO
        closing = min(abs(signed), abs(held.quantity))
        part = held.cost if closing == abs(held.quantity) else EXACT.divide(held.cost * closing, abs(held.quantity))
        part = part.quantize(QUANTUM, context=EXACT)
        value = notional if closing == abs(signed) else EXACT.divide(notional * closing, abs(signed))
        value = value.quantize(QUANTUM, context=EXACT)
        held.quantity += signed
        held.cost = held.cost - part if closing == abs(signed) else notional - value
        return -value - part

    def _add(self, market: Market, asset: str, amount: Decimal) -> None:
        self.balances[(market, asset)] = EXACT.add(self.balances.get((market, asset), ZERO), amount)

    def deposit(self, amount: Decimal) -> None:
        """Move money in or out behind the engine's back."""
        self._add(Market.SPOT, "USDT", amount)
        self.deposited += amount
        self.publish(
            BalanceReport(
                venue=VENUE,
                market=Market.SPOT,
                at_ms=self.now_ms,
                transfer_asset="USDT",
                transfer_amount=amount,
                kind="transfer",
            )
        )

    def fund(self, amount: Decimal) -> None:
        """Pay (or take) funding."""
        self._add(Market.FUTURES, "USDT", amount)
        self.funded += amount
        number = len(self.payments) + 1
        paid = FundingReport(
            symbol=FUTURES, asset="USDT", amount=amount, at_ms=self.now_ms, income_id=f"income-{number}"
        )
        self.payments.append(paid)
        self.publish(paid)

    # --- what can be read -----------------------------------------------------------------------------------

    def _tell(self, record: VenueOrder, fill: Fill | None = None) -> None:
        report = OrderReport(
            symbol=record.symbol,
            market=record.market,
            client_order_id=record.client_order_id,
            venue_order_id=record.venue_order_id,
            side=record.side,
            type=record.type,
            status=record.status,
            quantity=record.quantity,
            executed_quantity=record.executed,
            limit_price=record.limit_price,
            at_ms=self.now_ms,
        )
        record.seen.append((self.world.now_s, report))
        self.publish(replace(report, fill=fill))

    def report(self, client_order_id: str, stale_s: float = 0.0) -> OrderReport | None:
        """Return what was known of a client id ``stale_s`` ago, by its newest order."""
        for record in reversed(self.by_client_id.get(client_order_id, [])):
            for at_s, report in reversed(record.seen):
                if at_s <= self.world.now_s - stale_s:
                    return report
        return None

"""What the rails look at: one order, its instrument and mark, and the state at this moment. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, field
from msgspec.structs import force_setattr

from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.marks import Mark
from engine_service.domain.money import BPS, EXACT, ONE, ZERO
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.domain.state import EngineState
from engine_service.risk.policy import RiskPolicy

CONDITIONAL = frozenset(
    {OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT}
)
LIMIT_TYPES = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})


class RiskContext(Struct, frozen=True, kw_only=True, gc=False):
    """One order to be judged.

    ``quantity`` is base units after rounding, ``limit_price`` and ``stop_price`` quote per base after rounding,
    ``price`` what the order is valued at, ``quote_rate`` and ``base_rate`` reporting currency per unit of quote
    and base; ``None`` where no price is known. ``now_s`` is monotonic. ``as_written``: a caller wrote the figures, so
    that none of them may be rounded. ``unit_value`` is the reporting currency value of one base unit and ``value``
    that of the order; 0 without a price.
    """

    request: OrderRequest
    instrument: Instrument
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    price: Decimal | None
    mark: Mark | None
    quote_rate: Decimal | None
    line: str
    state: EngineState
    policy: RiskPolicy
    now_ms: int
    now_s: float
    as_written: bool = False
    unit_value: Decimal = ZERO
    value: Decimal = ZERO
    side: OrderSide = OrderSide.BUY
    market: Market = Market.SPOT
    venue: str = ""
    symbol: str = ""

    def may_trade_at(self, price: Decimal) -> bool:
        """Tell whether the order's limit, where it has one, lets it trade at a price."""
        limit = self.limit_price
        return limit is None or (price <= limit if self.side is OrderSide.BUY else price >= limit)

    def __post_init__(self) -> None:
        # Worked out once, here, whatever was handed in: half of the rails ask for them.
        price, rate, instrument = self.price, self.quote_rate, self.instrument
        unit = ZERO
        if price is not None and rate is not None:
            unit = price if rate is ONE else EXACT.multiply(price, rate)
        force_setattr(self, "unit_value", unit)
        force_setattr(self, "value", EXACT.multiply(self.quantity, unit))
        side = self.request.side
        if self.symbol == instrument.symbol and self.market is instrument.market and self.side is side:
            # The same order at another moment.
            return
        force_setattr(self, "side", side)
        force_setattr(self, "market", instrument.market)
        force_setattr(self, "venue", instrument.venue)
        force_setattr(self, "symbol", instrument.symbol)

    @property
    def is_market_order(self) -> bool:
        """True for what takes any price once it works."""
        return self.request.type not in LIMIT_TYPES

    @property
    def worst_price(self) -> Decimal:
        """Return the most a buy may cost per base unit, in quote."""
        if self.limit_price is not None:
            return self.limit_price
        reference = self.stop_price or self.price or ZERO
        return reference * (1 + self.policy.market_collar_bps / BPS)

    @property
    def signed_position(self) -> Decimal:
        """Return what is held of the instrument in base units, negative when short."""
        if self.market is Market.SPOT:
            return self.state.portfolio.holding(self.venue, self.market, self.instrument.base)
        return self.state.portfolio.position(self.symbol)


class RiskRefused(Struct, frozen=True, kw_only=True, gc=False):
    """A rail said no. ``numbers`` always has ``measured``, ``limit`` and ``acceptable`` where there are such."""

    code: str
    reason: str
    numbers: Mapping[str, str] = field(default_factory=dict)

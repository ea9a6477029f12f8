"""What was asked (``OrderRequest``) and what became of it (``Order``)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, field

from engine_service.domain.bracket import BracketPlan
from engine_service.domain.ids import Market, venue_of
from engine_service.domain.money import ZERO
from engine_service.domain.order_status import TERMINAL, Doubt, OrderSide, OrderStatus, OrderType, TimeInForce


class OrderRequest(Struct, frozen=True, kw_only=True, gc=False):
    """One intent, already shaped by the caller's door (API, strategy loop, bracket watcher).

    Exactly one of ``quantity`` (base) and ``quote_quantity`` (quote) is given. ``why`` is the evidence behind the
    order (signal, posterior, model version ...), kept in the journal as flat text.
    """

    symbol: str
    market: Market
    side: OrderSide
    type: OrderType
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    strategy: str = "manual"
    tag: str = ""
    leg: str = "entry"
    client_order_id: str = ""
    why: Mapping[str, str] = field(default_factory=dict)
    bracket: BracketPlan | None = None


class Order(Struct, frozen=True, kw_only=True, gc=False):
    """A promise with a life. Every field but the identity changes only by applying a journal event.

    ``quantity`` is in base units, rounded to the instrument's step; ``None`` until known for an order sized in
    quote. ``filled_quote`` is the sum of price x quantity over its fills. ``fence_at_ms`` is the venue time after
    which no request about it that never arrived can still arrive. ``resting_status`` is where a refused cancel or
    change returns to. The reservation made by the risk gate rides on the order: ``unit_value`` is the reporting
    currency value of one base unit that exposure counts until it is filled, ``reserve_per_unit`` the amount of
    ``reserve_asset`` each unfilled base unit holds back. ``cancel_requested`` remembers a wish that could not be
    sent yet; ``pending_*`` is the change on its way. ``bracket`` is what is to protect it once it has filled.
    ``provisional_quantity`` is the part of ``filled_quantity`` whose trades the venue has counted but not named yet,
    ``busted_quantity`` what traded and was taken back by the venue.
    """

    client_order_id: str
    symbol: str
    market: Market
    side: OrderSide
    type: OrderType
    status: OrderStatus
    quantity: Decimal | None
    quote_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    strategy: str = "manual"
    tag: str = ""
    leg: str = "entry"
    why: Mapping[str, str] = field(default_factory=dict)
    venue_order_id: str = ""
    filled_quantity: Decimal = ZERO
    filled_quote: Decimal = ZERO
    created_at_ms: int = 0
    updated_at_ms: int = 0
    sent_at_ms: int = 0
    fence_at_ms: int = 0
    doubt: Doubt | None = None
    resting_status: OrderStatus | None = None
    code: str = ""
    reason: str = ""
    policy_version: int = 0
    external: bool = False
    late_fill: bool = False
    overfill: bool = False
    provisional_quantity: Decimal = ZERO
    busted_quantity: Decimal = ZERO
    cancel_requested: bool = False
    base: str = ""
    quote: str = ""
    unit_value: Decimal = ZERO
    reserve_asset: str = ""
    reserve_per_unit: Decimal = ZERO
    pending_limit_price: Decimal | None = None
    pending_quantity: Decimal | None = None
    bracket: BracketPlan | None = None

    @property
    def venue(self) -> str:
        return venue_of(self.symbol)

    @property
    def is_open(self) -> bool:
        """True while the venue may still trade it."""
        return self.status not in TERMINAL

    @property
    def has_pending_change(self) -> bool:
        """True while it is not known what became of a change that was asked for."""
        return self.pending_limit_price is not None or self.pending_quantity is not None

    @property
    def average_price(self) -> Decimal | None:
        """Return the mean fill price in quote per base, or ``None`` before the first fill."""
        return self.filled_quote / self.filled_quantity if self.filled_quantity else None

    @property
    def remaining_quantity(self) -> Decimal | None:
        """Return what is not filled yet in base units, never negative; ``None`` while the size is unknown."""
        return None if self.quantity is None else max(ZERO, self.quantity - self.filled_quantity)

    @property
    def greatest_quantity(self) -> Decimal | None:
        """Return the most it may trade in base units: a change to a larger size counts from when it is sent."""
        if self.pending_quantity is None or self.quantity is None:
            return self.quantity
        return max(self.quantity, self.pending_quantity)

    @property
    def unfilled_at_most(self) -> Decimal:
        """Return what may still trade in base units, 0 once terminal or while the size is unknown."""
        most = self.greatest_quantity
        return ZERO if most is None or self.status in TERMINAL else max(ZERO, most - self.filled_quantity)

    @property
    def reserved_value(self) -> Decimal:
        """Return the reporting currency value this order may still add to exposure; 0 once terminal."""
        return self.unit_value * self.unfilled_at_most

    @property
    def reserved_funds(self) -> Decimal:
        """Return how much of ``reserve_asset`` it holds back; 0 once terminal."""
        return self.reserve_per_unit * self.unfilled_at_most

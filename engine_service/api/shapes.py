"""What answers are made of. The views fill these shapes, and the OpenAPI page is written from them: there is no
other description of an answer that could say something else.

Decimals are text, times epoch milliseconds. What is not known is ``null``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypedDict

from msgspec import Meta

from engine_service.domain.bracket import BracketPlan
from engine_service.domain.events import BreakFound
from engine_service.domain.ids import Market
from engine_service.domain.order_status import Doubt, OrderSide, OrderStatus, OrderType, TimeInForce
from engine_service.execution.reconcile import VenueReconciliation

SIGNED_PATTERN: Final = r"^-?[0-9]+(\.[0-9]+)?$"

#: Money and quantities: never an exponent, never ``-0``.
Amount = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$", description="Decimal text, never negative.")]
Signed = Annotated[str, Meta(pattern=SIGNED_PATTERN, description="Decimal text.")]
Ms = Annotated[int, Meta(ge=0, description="UTC epoch milliseconds.")]
Liquidity = Annotated[str, Meta(extra_json_schema={"enum": ["maker", "taker", ""]})]
BracketMode = Annotated[str, Meta(extra_json_schema={"enum": ["native", "linked", "watched", ""]})]


class FillView(TypedDict):
    """One trade of one order. The fee is negative for a rebate; `liquidity` is empty where the venue does not say."""

    trade_id: str
    client_order_id: str
    venue_order_id: str
    symbol: str
    market: Market
    venue: str
    side: OrderSide
    price: Amount
    quantity: Signed
    fee: Signed
    fee_asset: str
    at_ms: Ms
    at: Ms
    liquidity: Liquidity
    provisional: bool


class OrderView(TypedDict):
    """One order as it stands. `fills` holds those of this answer; a list of orders comes without them."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    venue: str
    market: Market
    side: OrderSide
    type: OrderType
    status: OrderStatus
    quantity: Amount | None
    quote_quantity: Amount | None
    limit_price: Amount | None
    stop_price: Amount | None
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    filled_quantity: Amount
    average_price: Amount | None
    strategy: str
    tag: str
    leg: str
    why: dict[str, str]
    created_at_ms: Ms
    updated_at_ms: Ms
    doubt: Doubt | None
    code: str
    reason: str
    policy_version: int
    external: bool
    late_fill: bool
    overfill: bool
    bracket: BracketPlan | None
    fills: list[FillView]


class RecordedEvent(TypedDict):
    """One event of the journal under its sequence number; `kind` says what `event` holds."""

    seq: int
    kind: str
    at_ms: Ms
    event: dict[str, Any]


class CashView(TypedDict):
    """An asset that is not at risk; `free` is what open orders do not hold back."""

    total: Signed
    free: Signed


class PositionView(TypedDict):
    """One line at risk at its newest mark, money in the reporting currency."""

    symbol: str
    venue: str
    market: Market
    side: Literal["LONG", "SHORT"]
    signed_quantity: Signed
    average_price: Signed
    mark_price: Amount | None
    value: Signed
    unrealised_pnl: Signed
    dust: bool


class PortfolioView(TypedDict):
    """The account by the engine's own books. `cash` is by `ASSET.VENUE|market`."""

    reporting_asset: str
    equity: Signed
    starting_equity: Signed
    realised_pnl: Signed
    unrealised_pnl: Signed
    fees: Signed
    funding: Signed
    transfers: Signed
    exposure_gross: Amount
    exposure_net: Signed
    exposure_reserved: Signed
    cash: dict[str, CashView]
    positions: list[PositionView]
    as_of_ms: Ms
    seq: int


class InstrumentView(TypedDict):
    """An instrument's trading rules."""

    symbol: str
    venue: str
    market: Market
    base: str
    quote: str
    tick: Amount
    step: Amount
    min_quantity: Amount
    max_quantity: Amount
    min_notional: Amount
    trading: bool


class PriceView(TypedDict):
    """The newest quote of an instrument; `mark` is `null` where the quote is none."""

    symbol: str
    market: Market
    bid: Amount
    ask: Amount
    mark: Amount | None
    age_ms: int


class RegimeView(TypedDict):
    """What the engine believed at one closed bar; `posterior` sums to 1."""

    open_at_ms: Ms
    close_at_ms: Ms
    price: float
    regime: int
    label: str
    posterior: list[float]
    model_version: str


class ReconcileView(TypedDict):
    """One comparison with every venue, summed and by venue; `breaks` are the differences that stay."""

    trigger: str
    at_ms: Ms
    ok: bool
    imported: list[str]
    closed: list[str]
    adopted: list[str]
    deferred: list[str]
    breaks: list[BreakFound]
    venues: list[VenueReconciliation]


class _Bracket(TypedDict):
    id: str
    status: Literal["waiting", "armed", "closed"]
    protected: bool
    legs: list[OrderView]


class BracketView(_Bracket, total=False):
    """A bracket by its entry's id. Once armed it says where its legs live, and what they are to protect."""

    mode: BracketMode
    quantity: Amount
    remaining: Amount
    take_profit: Amount | None
    stop_loss: Amount | None

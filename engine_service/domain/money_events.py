"""Money that moves without a fill, and what the account was worth."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import UNSET, UnsetType

from engine_service.domain.event import Event
from engine_service.domain.ids import Market


class AdjustmentKind(StrEnum):
    """Why a balance moved without a fill.

    A rebate, a bonus, what the insurance fund made good and a venue's rounding are results; the rest is money that came
    or went, a conversion what went in one asset and came in another.
    """

    OPENING = "opening"
    TRANSFER = "transfer"
    ADOPTION = "adoption"
    DUST = "dust"
    CORRECTION = "correction"
    ROUNDING = "rounding"
    REBATE = "rebate"
    BONUS = "bonus"
    INSURANCE = "insurance"
    CONVERSION = "conversion"


class BalanceAdjusted(Event, frozen=True, kw_only=True):
    """A signed change of one asset that is not trading. ``rate`` is reporting currency per unit."""

    venue: str
    market: Market
    asset: str
    amount: Decimal
    rate: Decimal
    kind: AdjustmentKind
    reference: str = ""


class PositionAdopted(Event, frozen=True, kw_only=True):
    """A derivative position without fills of ours: ``quantity`` is the signed difference taken over.

    ``realised`` is what the venue's wallet shows as the result of what closed; left out where nothing does.
    """

    symbol: str
    quote: str
    quantity: Decimal
    price: Decimal
    quote_rate: Decimal
    opening: bool = False
    realised: Decimal | UnsetType = UNSET


class FundingPaid(Event, frozen=True, kw_only=True):
    """Funding of a derivative position; ``amount`` in units of ``asset``, negative when paid by us."""

    venue: str
    symbol: str
    asset: str
    amount: Decimal
    rate: Decimal
    income_id: str


class EquityRecorded(Event, frozen=True, kw_only=True):
    """Equity seen at a moment: the drawdown peak and the day's start live on it.

    ``day`` counts UTC days by the venue's clock; facts of earlier builds have none.
    """

    equity: Decimal
    peak: Decimal
    day_start: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees: Decimal
    funding: Decimal
    transfers: Decimal
    day: int | UnsetType = UNSET

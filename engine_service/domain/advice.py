"""Advice about orders from outside the engine: how to send them, and how large they should be. It never adds risk."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from engine_service.domain.order_status import OrderSide


class Tactic(StrEnum):
    """How a strategy's entry goes out, if at all."""

    IOC_LIMIT = "IOC_LIMIT"
    MARKET = "MARKET"
    SKIP = "SKIP"


class AdvisedTactic(Struct, frozen=True, kw_only=True, gc=False):
    """For entries in one symbol and direction; ``limit_bps`` is how far from the mark an IOC limit may pay."""

    symbol: str
    side: OrderSide
    tactic: Tactic
    limit_bps: Decimal
    reason: str = ""


class AdvisedSize(Struct, frozen=True, kw_only=True, gc=False):
    """The share of full size, 0 to 1, for one strategy in one symbol."""

    strategy: str
    symbol: str
    scale: Decimal

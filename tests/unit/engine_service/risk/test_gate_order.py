"""The gate walks the rails in stretches of one kind; whatever refuses first in their list has to be what it says."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import pytest
from msgspec.structs import replace

from engine_service.execution.prepare import risk_context
from engine_service.risk.context import RiskRefused
from tests.fakes.engine import make_core, market_order, policy

pytestmark = pytest.mark.anyio
#: One limit each that refuses any order, from the front, the middle and the end of the list.
REFUSING: Mapping[str, Mapping[str, object]] = {
    "TRADING_DISABLED": {"trading_enabled": False},
    "SYMBOL_NOT_ALLOWED": {"allowed_symbols": "NOTHING.BINANCE"},
    "PRICE_STALE": {"price_stale_ms": "1"},
    "NOTIONAL_TOO_LARGE": {"max_notional": "0"},
    "EXPOSURE_TOTAL_CAP": {"total_exposure_cap": "0"},
    "EQUITY_FLOOR": {"equity_floor": "1000000"},
    "ORDER_RATE_EXCEEDED": {"order_rate_per_min": "0"},
}


@pytest.mark.parametrize("size", range(1, len(REFUSING) + 1))
async def test_the_first_rail_of_the_list_that_refuses_is_the_one_that_is_named(size: int) -> None:
    for codes in combinations(REFUSING, size):
        limits = {key: value for code in codes for key, value in REFUSING[code].items()}
        core = make_core(limits=policy(**limits))
        ctx = risk_context(core, market_order())
        refused = core.gate.check(replace(ctx, now_s=ctx.now_s + 10))
        assert isinstance(refused, RiskRefused)
        assert refused.code == codes[0]

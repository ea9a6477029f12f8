"""Events as callers see them."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

from engine_service.api.views import event_view
from engine_service.storage.port import Recorded
from tests.unit.engine_service.domain.test_told_results import filled


@pytest.mark.parametrize(("told", "shown"), [(Decimal("0.50"), "0.5"), (None, None)])
def test_a_trade_shows_the_profit_that_the_venue_told_and_nothing_where_it_told_none(
    told: Decimal | None, shown: str | None
) -> None:
    seen = event_view(Recorded(seq=1, event=filled(Decimal(1), Decimal(2), told)))
    assert orjson.loads(orjson.dumps(seen))["event"]["fill"].get("realised") == shown

"""Which histories a comparison reads: all that matter now, the quiet ones in turn, all of them before it gives up."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import VenueReconciliation, reconcile
from engine_service.execution.reconcile_symbols import AT_ONCE, TRADED_MS, in_turn
from engine_service.execution.submit import submit
from tests.fakes.engine import START_MS, make_core, mark_of, market_order
from tests.fakes.venue import FakeVenue

pytestmark = pytest.mark.anyio
D = Decimal
BTC, ETH = "BTCUSDT.BINANCE", "ETHUSDT.BINANCE"
QUIET = [f"QUIET{n:02d}USDT.BINANCE" for n in range(40)]


class Listed(FakeVenue):
    """A venue that remembers whose history was asked for."""

    def __init__(self) -> None:
        super().__init__(ManualClock(START_MS))
        self.asked: list[str] = []

    async def fills_since(
        self, market: Market, symbol: str, from_trade_id: str | None, since_ms: int
    ) -> Sequence[Fill]:
        self.asked.append(symbol)
        return await super().fills_since(market, symbol, from_trade_id, since_ms)


async def long_lived() -> tuple[EngineCore, Listed]:
    """Return an engine that traded bitcoin just now, ether some time ago, and forty others in another life."""
    venue = Listed()
    core = make_core(venue=venue)
    core.account_is_shared = True
    await submit(core, market_order(), mark_of())
    like = core.instruments[BTC, Market.SPOT]
    core.instruments |= {
        (symbol, Market.SPOT): replace(like, symbol=symbol, base=symbol.partition("USDT")[0]) for symbol in QUIET
    }
    core.record(
        e.ReconciliationCompleted(
            at_ms=core.clock.now_ms(),
            venue="BINANCE",
            trigger="start",
            as_of_ms=0,
            imported=0,
            closed=0,
            last_trade_ids={f"spot:{symbol}": "7" for symbol in [*QUIET, ETH]},
        )
    )
    return core, venue


async def compare(core: EngineCore, venue: Listed, trigger: str) -> tuple[set[str], VenueReconciliation]:
    """Compare once; return also whose histories were asked for."""
    venue.asked.clear()
    report = await reconcile(core, trigger=trigger)
    return set(venue.asked), report.venues[0]


def somebodys(symbol: str) -> Order:
    return Order(
        client_order_id="",
        symbol=symbol,
        market=Market.SPOT,
        side=OrderSide.BUY,
        type=OrderType.MARKET,
        status=OrderStatus.SUBMITTED,
        quantity=D("0.2"),
    )


async def test_the_timer_reads_what_traded_lately_and_the_quiet_ones_in_turn() -> None:
    core, venue = await long_lived()
    rounds = [await compare(core, venue, "timer") for _ in range(9)]
    assert [found.breaks for _, found in rounds] == [[]] * 9
    assert all(BTC in asked and len(asked) <= 1 + AT_ONCE for asked, _ in rounds)
    assert set().union(*(asked for asked, _ in rounds)) == {BTC, ETH, *QUIET}
    venue.clock.advance(TRADED_MS)
    rounds = [await compare(core, venue, "timer") for _ in range(9)]
    assert 0 < sum(BTC in asked for asked, _ in rounds) < 9


@pytest.mark.parametrize("trigger", ["start", "manual", "reconnect"])
async def test_every_other_comparison_reads_all_of_them(trigger: str) -> None:
    asked, _ = await compare(*await long_lived(), trigger)
    assert asked == {BTC, ETH, *QUIET}


async def test_a_trade_missed_on_a_quiet_instrument_shows_in_the_figures_and_is_booked_at_once() -> None:
    core, venue = await long_lived()
    core.turns["quiet:spot"] = ETH
    venue.place(somebodys(ETH))
    asked, found = await compare(core, venue, "timer")
    assert ETH in asked
    assert len(asked) < len(QUIET)
    assert (found.breaks, found.adopted) == ([], [])
    assert core.state.portfolio.holdings["BINANCE|spot|ETH"].quantity == venue.balances[Market.SPOT, "ETH"]


async def test_a_difference_of_the_currency_alone_makes_it_read_everything() -> None:
    core, venue = await long_lived()
    venue.deposit("USDT", D(5))
    asked, found = await compare(core, venue, "timer")
    assert asked == {BTC, ETH, *QUIET}
    assert [each.subject for each in found.breaks] == ["USDT"]


async def test_turns_leave_nobody_out_whatever_comes_and_goes() -> None:
    core = make_core()
    names = [f"n{number:02d}" for number in range(15)]
    asked = [name for _ in range(3) for name in in_turn(core, "some", names)]
    assert asked == names
    assert in_turn(core, "some", names[7:]) == names[7 : 7 + AT_ONCE]
    assert in_turn(core, "some", names) == [*names[12:], *names[:2]]
    assert in_turn(core, "others", names[:3]) == names[:3]

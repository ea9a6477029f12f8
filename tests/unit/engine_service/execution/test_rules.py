"""Instruments that the venue lists or drops while the engine runs: trades are booked as what they are, all goes on."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.instrument import Instrument
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import PERSIST_MS, reconcile
from engine_service.execution.reconcile_orders import import_fills
from engine_service.execution.rules import refresh_instruments
from engine_service.execution.submit import submit
from engine_service.execution.user_stream import take
from engine_service.venues.port import VenueUnavailable
from tests.fakes.engine import fake, make_core, mark_of, market_order
from tests.fakes.venue import INSTRUMENTS, FakeVenue

pytestmark = pytest.mark.anyio
D = Decimal
ETH = "ETHUSDT.BINANCE"


class ListingVenue(FakeVenue):
    """A venue that knows what it lists now; of the rest it knows nothing."""

    def __init__(self, base: FakeVenue) -> None:
        super().__init__(base.clock)
        self.listed = list(INSTRUMENTS)
        self.tells_trades_of: set[str] = set()

    async def instruments(self) -> Sequence[Instrument]:
        self.reads.append("rules")
        if self.down:
            raise VenueUnavailable("VENUE_DOWN", "scripted")
        return [rule for rule in self.listed if rule.market is Market.SPOT]

    async def fills_since(
        self, market: Market, symbol: str, from_trade_id: str | None, since_ms: int
    ) -> Sequence[Fill]:
        if symbol not in {rule.symbol for rule in self.listed} | self.tells_trades_of:
            raise VenueUnavailable("VENUE_BAD_REQUEST", "-1121 Invalid symbol.")
        return await super().fills_since(market, symbol, from_trade_id, since_ms)


@pytest.fixture
async def core() -> EngineCore:
    return make_core(venue=ListingVenue(fake(make_core())))


def venue_of(core: EngineCore) -> ListingVenue:
    found = core.venues["BINANCE"]
    assert isinstance(found, ListingVenue)
    return found


def held(core: EngineCore) -> dict[str, Decimal]:
    return {key.split("|")[2]: book.quantity for key, book in core.state.portfolio.holdings.items() if book.quantity}


def elsewhere(core: EngineCore) -> str:
    """Let someone else buy ETH, of which this engine has not heard yet; return the order's id."""
    for symbol in (ETH, "ETHBTC.BINANCE"):
        del core.instruments[symbol, Market.SPOT]
    order = Order(
        client_order_id="web_new",
        symbol=ETH,
        market=Market.SPOT,
        side=OrderSide.BUY,
        type=OrderType.MARKET,
        status=OrderStatus.SUBMITTED,
        quantity=D(2),
    )
    venue_of(core).place(order)
    return order.client_order_id


def moved(core: EngineCore) -> Decimal:
    return core.state.portfolio.transfers


async def test_what_is_no_longer_listed_is_forgotten(core: EngineCore) -> None:
    venue_of(core).listed = [rule for rule in INSTRUMENTS if rule.symbol != ETH]
    await refresh_instruments(core, venue_of(core))
    assert (ETH, Market.SPOT) not in core.instruments
    assert ("BTCUSDT.BINANCE", Market.SPOT) in core.instruments
    assert ("BTCUSDT.BINANCE", Market.FUTURES) in core.instruments


async def test_an_empty_list_is_none(core: EngineCore) -> None:
    venue_of(core).listed = []
    await refresh_instruments(core, venue_of(core))
    assert (ETH, Market.SPOT) in core.instruments


async def test_an_instrument_that_is_gone_stops_comparisons_only_once(core: EngineCore) -> None:
    await submit(core, market_order(), mark_of())
    await submit(core, market_order("0.01", symbol=ETH), mark_of())
    venue_of(core).listed = [rule for rule in INSTRUMENTS if rule.symbol != ETH]
    first = await reconcile(core)
    assert (first.ok, first.venues[0].error) == (False, "VENUE_BAD_REQUEST")
    assert (await reconcile(core)).ok
    assert held(core)["ETH"] == D("0.01")


async def test_a_trade_in_what_was_listed_since_moves_its_own_currencies(core: EngineCore) -> None:
    cid = elsewhere(core)
    report = venue_of(core).report(cid, with_fill=venue_of(core).trades[-1])
    take(core, "BINANCE", report)
    take(core, "BINANCE", report)
    await core.settle()
    assert held(core) == {"ETH": D(2), "USDT": D("4995")}
    assert (await reconcile(core, trigger="start")).ok
    assert moved(core) == 0


async def test_a_comparison_finds_such_a_trade_when_no_report_told_of_it(core: EngineCore) -> None:
    elsewhere(core)
    report = await reconcile(core, trigger="timer")
    assert (report.ok, report.venues[0].breaks) == (True, [])
    assert held(core) == {"ETH": D(2), "USDT": D("4995")}
    assert moved(core) == 0


def told(core: EngineCore) -> list[str]:
    events = [row.event for row in core.journal.events_after(0, 1_000)]
    return [event.kind for event in events if isinstance(event, e.Anomaly)]


def unlisted(core: EngineCore) -> str:
    """Let someone else trade what the venue trades and does not list; return the order's id."""
    core.account_is_shared = True
    cid = elsewhere(core)
    venue_of(core).listed = [rule for rule in INSTRUMENTS if "ETH" not in rule.symbol]
    return cid


def put_aside(core: EngineCore) -> str:
    found = core.state.restriction(ETH, Market.SPOT, core.clock.now_ms())
    return "" if found is None else found.code


@pytest.mark.parametrize("shared", [False, True])
async def test_while_the_rules_cannot_be_read_a_trade_is_told_and_not_booked(core: EngineCore, shared: bool) -> None:
    cid = elsewhere(core)
    core.account_is_shared = shared
    venue_of(core).down = True
    for _ in range(2):
        take(core, "BINANCE", venue_of(core).report(cid, with_fill=venue_of(core).trades[-1]))
        await core.settle()
    assert held(core) == {"USDT": D(10_000)}
    assert told(core) == ["unknown_instrument", "external_order"]
    assert (put_aside(core), core.state.halted) == ("UNKNOWN_INSTRUMENT", not shared)


async def test_an_unlisted_instruments_money_is_a_break_that_halts_until_its_rules_are_known(core: EngineCore) -> None:
    cid = unlisted(core)
    take(core, "BINANCE", venue_of(core).report(cid, with_fill=venue_of(core).trades[-1]))
    await core.settle()
    for _ in range(3):
        report = await reconcile(core, trigger="timer")
        venue_of(core).clock.advance(PERSIST_MS)
    assert [found.subject for found in report.venues[0].breaks] == ["ETH", "USDT"]
    assert (held(core), moved(core), core.state.halted) == ({"USDT": D(10_000)}, D(0), True)
    venue_of(core).listed = list(INSTRUMENTS)
    assert (await reconcile(core, trigger="timer")).ok
    assert (held(core), moved(core)) == ({"ETH": D(2), "USDT": D("4995")}, D(0))
    assert core.state.image.open_breaks == {}


async def test_a_person_may_take_over_an_unlisted_instruments_money(core: EngineCore) -> None:
    """The venue tells its trades and not its rules; once it does, nothing is booked twice."""
    cid = unlisted(core)
    venue_of(core).tells_trades_of = {ETH}
    take(core, "BINANCE", venue_of(core).report(cid, with_fill=venue_of(core).trades[-1]))
    await core.settle()
    await reconcile(core, adopt=True)
    assert (await reconcile(core)).ok
    assert held(core) == {"ETH": D(2), "USDT": D("4995")}
    taken = core.state.portfolio.realised, moved(core)
    venue_of(core).listed = list(INSTRUMENTS)
    await refresh_instruments(core, venue_of(core))
    assert (await reconcile(core, trigger="start")).venues[0].imported == []
    assert held(core) == {"ETH": D(2), "USDT": D("4995")}
    assert (core.state.portfolio.realised, moved(core)) == taken


async def test_an_open_order_of_an_unlisted_instrument_is_told_once(core: EngineCore) -> None:
    unlisted(core)
    venue_of(core).orders["web_new"].status = OrderStatus.ACCEPTED
    for _ in range(2):
        await reconcile(core)
    assert told(core) == ["unknown_instrument", "external_order"]
    assert core.state.order("web_new") is None


async def test_trades_read_of_what_is_dropped_meanwhile_wait(core: EngineCore) -> None:
    unlisted(core)
    imported: list[str] = []
    venue_of(core).listed = list(INSTRUMENTS)
    assert await import_fills(core, venue_of(core), Market.SPOT, [ETH], imported) == {}
    assert (held(core), imported, put_aside(core)) == ({"USDT": D(10_000)}, [], "UNKNOWN_INSTRUMENT")


async def test_what_is_known_is_not_read_again(core: EngineCore) -> None:
    await submit(core, market_order(), mark_of())
    venue_of(core).deposit("USDT", D(5))
    await reconcile(core)
    assert "rules" not in venue_of(core).reads

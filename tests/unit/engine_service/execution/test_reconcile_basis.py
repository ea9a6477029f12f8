"""A futures wallet that differs by the order in which trades were told is no transfer."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import reconcile
from engine_service.execution.reconcile_basis import other_order
from engine_service.execution.reconcile_figures import Difference
from engine_service.execution.submit import submit
from engine_service.venues.reports import AccountSnapshot, VenuePosition
from tests.fakes.engine import START_MS, fake, make_core, mark_of, market_order, refresh_marks
from tests.fakes.venue import FakeVenue

pytestmark = pytest.mark.anyio
D = Decimal
BTC = "BTCUSDT.BINANCE"
USDT = (Market.FUTURES, "USDT")


async def told_in_another_order(early: str) -> tuple[EngineCore, Decimal, Decimal]:
    """Return a core that heard of a purchase (0.02 at 40,000) only after the sale (0.02 at 52,000) that followed it.

    The venue's entry price and result of the closing are those of the true order; also returned are both results.
    """
    venue = FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,))
    core = make_core(venue=venue)
    for side, price in ((OrderSide.BUY, "50000"), (OrderSide.SELL, "52000"), (OrderSide.BUY, early)):
        venue.prices[BTC] = D(price)
        quantity = "0.02" if price == early or side is OrderSide.SELL else "0.04"
        await submit(core, market_order(quantity, side=side, market=Market.FUTURES), mark_of())
    entry = (D("0.04") * D(50000) + D("0.02") * D(early)) / D("0.06")
    ours, theirs = D("0.02") * D(2000), D("0.02") * (D(52000) - entry)
    venue.positions[BTC] = replace(venue.positions[BTC], signed_quantity=D("0.04"), entry_price=entry)
    wallet = core.state.portfolio.holding("BINANCE", Market.FUTURES, "USDT")
    venue.balances[USDT] = (wallet - ours + theirs).quantize(D("1e-8"))
    return core, ours, theirs


async def compared(core: EngineCore) -> None:
    """Compare, and again once the difference has lasted."""
    await reconcile(core)
    fake(core).clock.advance(11_000)
    await reconcile(core)


async def test_the_venues_entry_price_is_taken_over_and_nothing_was_transferred() -> None:
    core, ours, theirs = await told_in_another_order("45500")
    books = core.state.portfolio
    before = books.realised
    await compared(core)
    assert books.realised - before == theirs - ours
    assert books.derivatives[BTC].book.average_cost == D("48500")
    assert (books.transfers, books.identity_error) == (D(0), D(0))
    assert books.holding("BINANCE", Market.FUTURES, "USDT") == fake(core).balances[USDT]
    assert (await reconcile(core)).ok
    assert not core.state.halted


async def test_what_the_entry_price_does_not_explain_is_a_transfer_as_ever() -> None:
    core, _, _ = await told_in_another_order("45500")
    fake(core).deposit("USDT", D(25), Market.FUTURES)
    await compared(core)
    adopted = [r.event for r in core.journal.events_after(0, 10_000) if isinstance(r.event, e.PositionAdopted)]
    assert adopted == []
    assert core.state.portfolio.transfers != 0


async def test_what_a_venues_rounding_takes_is_a_result_and_no_transfer() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,)))
    books = core.state.portfolio
    wallet, realised = books.holding("BINANCE", Market.FUTURES, "USDT"), books.realised
    fake(core).balances[USDT] = wallet + D("0.000000004")
    report = await reconcile(core)
    assert report.ok
    assert not report.venues[0].adopted
    assert books.holding("BINANCE", Market.FUTURES, "USDT") == wallet + D("0.000000004")
    assert (books.realised - realised, books.transfers, books.identity_error) == (D("4e-9"), D(0), D(0))
    kinds = [r.event.kind for r in core.journal.events_after(0, 10_000) if isinstance(r.event, e.BalanceAdjusted)]
    assert kinds[-1] is e.AdjustmentKind.ROUNDING


async def test_an_average_that_is_no_finite_decimal_leaves_exact_books() -> None:
    venue = FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,))
    core = make_core(venue=venue)
    for quantity, price in (("0.01", "50000.1"), ("0.02", "50000.3")):
        venue.prices[BTC] = D(price)
        await submit(core, market_order(quantity, market=Market.FUTURES), mark_of())
    entry = D("50001.11111111")
    venue.positions[BTC] = replace(venue.positions[BTC], signed_quantity=D("0.03"), entry_price=entry)
    books = core.state.portfolio
    more = D("0.03") * entry - books.derivatives[BTC].book.cost
    venue.balances[USDT] = (books.holding("BINANCE", Market.FUTURES, "USDT") + more).quantize(D("1e-8"))
    await compared(core)
    assert books.holding("BINANCE", Market.FUTURES, "USDT") == venue.balances[USDT]
    assert books.derivatives[BTC].book.cost == D("0.03") * entry
    assert (books.transfers, books.identity_error) == (D(0), D(0))
    assert core.ready


async def test_the_smallest_amount_that_can_be_moved_is_a_transfer() -> None:
    core = make_core(venue=FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,)))
    fake(core).deposit("USDT", D("0.00000001"), Market.FUTURES)
    await compared(core)
    assert core.state.portfolio.transfers == D("0.00000001")


async def test_the_rest_that_an_entry_price_leaves_is_rounding() -> None:
    core, _, _ = await told_in_another_order("45500.01")
    await compared(core)
    books = core.state.portfolio
    assert books.holding("BINANCE", Market.FUTURES, "USDT") == fake(core).balances[USDT]
    assert (books.transfers, books.identity_error) == (D(0), D(0))
    assert (await reconcile(core)).ok
    assert books.transfers == 0


async def test_the_entry_price_is_that_of_the_read_in_which_the_wallet_differed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a start an order may trade between two reads: what was held at the first explains nothing of the last."""
    core, _, _ = await told_in_another_order("45500")
    venue, reads = fake(core), list[int]()
    account = venue.account

    async def moving(market: Market) -> AccountSnapshot:
        reads.append(1)
        now = await account(market)
        if len(reads) > 1:
            return now
        return replace(now, positions=tuple(replace(held, signed_quantity=D("0.05")) for held in now.positions))

    monkeypatch.setattr(venue, "account", moving)
    await reconcile(core, trigger="start")
    assert len(reads) > 1
    assert core.state.portfolio.transfers == 0
    assert core.state.portfolio.derivatives[BTC].book.average_cost == D("48500")


async def test_what_the_entry_price_of_a_large_position_hides_in_its_rounding_is_allowed_for() -> None:
    """Eight digits of a price leave a thousandth of a unit of what 100,000 pieces cost."""
    core = make_core(venue=FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,)))
    positions = []
    for symbol, quantity, ours, theirs in (
        (BTC, D("0.04"), D(50_000), D(48_500)),
        ("DOGEUSDT.BINANCE", D(100_000), D("0.123456784"), D("0.12345678")),
    ):
        core.record(
            e.PositionAdopted(
                at_ms=START_MS, symbol=symbol, quote="USDT", quantity=quantity, price=ours, quote_rate=D(1)
            )
        )
        positions.append(VenuePosition(symbol=symbol, signed_quantity=quantity, entry_price=theirs, mark_price=theirs))

    def explained(amount: str) -> list[e.Event]:
        now = Difference(
            kind="balance", venue="BINANCE", market=Market.FUTURES, subject="USDT", ours=D(100), theirs=100 + D(amount)
        )
        return other_order(core, now, positions)

    *adopted, rest = explained("-60.0004")
    assert [(a.symbol, a.quantity) for a in adopted if isinstance(a, e.PositionAdopted)] == [
        (BTC, D("-0.04")),
        (BTC, D("0.04")),
    ]
    assert isinstance(rest, e.BalanceAdjusted)
    assert (rest.kind, rest.amount) == (e.AdjustmentKind.ROUNDING, D("-0.0004"))
    assert explained("-60.0011") == []
    assert explained("-0.0004") == []


async def held_twice(side: OrderSide = OrderSide.BUY) -> EngineCore:
    """Return a core that bought (or sold) twice, at prices whose mean is no finite decimal, and whose mark moved on."""
    venue = FakeVenue(ManualClock(START_MS), markets=(Market.FUTURES,))
    core = make_core(venue=venue)
    for quantity, price in (("0.01", "50000.1"), ("0.02", "50000.3")):
        venue.prices[BTC] = D(price)
        await submit(core, market_order(quantity, side=side, market=Market.FUTURES), mark_of())
    venue.balances[USDT] = core.state.portfolio.holding("BINANCE", Market.FUTURES, "USDT")
    venue.prices[BTC] = D(60_000)
    refresh_marks(core, venue)
    return core


@pytest.mark.parametrize("side", list(OrderSide))
@pytest.mark.parametrize("result", ["0", "12.5", "-80.00000001"])
async def test_a_position_that_is_gone_leaves_with_what_the_wallet_shows(side: OrderSide, result: str) -> None:
    core = await held_twice(side)
    books, venue = core.state.portfolio, fake(core)
    before = books.realised
    del venue.positions[BTC]
    venue.balances[USDT] += D(result)
    await compared(core)
    assert (books.transfers, core.state.halted) == (D(0), True)
    assert core.state.image.counts["TradingHalted"] == 1
    await reconcile(core, adopt=True)
    assert (books.realised - before, books.transfers, books.identity_error) == (D(result), D(0), D(0))
    assert books.holding("BINANCE", Market.FUTURES, "USDT") == venue.balances[USDT]
    assert (books.position(BTC), books.derivatives[BTC].book.cost) == (D(0), D(0))
    after = await reconcile(core)
    assert (after.ok, after.venues[0].adopted, core.state.image.open_breaks) == (True, [], {})


@pytest.mark.parametrize("quantity", ["0.01", "0.05", "-0.02"])
async def test_a_position_that_is_another_one_is_the_venues_after_that(quantity: str) -> None:
    core = await held_twice()
    books, venue = core.state.portfolio, fake(core)
    before, entry = books.realised, D("50123.45678901")
    venue.positions[BTC] = replace(venue.positions[BTC], signed_quantity=D(quantity), entry_price=entry)
    venue.balances[USDT] += D("3.25")
    await reconcile(core, adopt=True)
    assert (books.realised - before, books.transfers) == (D("3.25"), D(0))
    assert books.derivatives[BTC].book.cost == D(quantity) * entry
    assert (await reconcile(core)).ok


async def test_money_that_no_end_of_the_position_could_have_cost_was_moved() -> None:
    core = await held_twice()
    books, before = core.state.portfolio, core.state.portfolio.realised
    del fake(core).positions[BTC]
    fake(core).balances[USDT] -= D(2_000)
    await compared(core)
    await reconcile(core, adopt=True)
    assert (books.realised - before, books.transfers) == (D(0), D(-2_000))

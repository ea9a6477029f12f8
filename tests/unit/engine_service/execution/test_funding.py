"""Funding that no stream told of is booked as what it is, once; a transfer beside it stays a transfer."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain.ids import Market
from engine_service.domain.state import FUNDING_IDS_KEPT
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import reconcile
from engine_service.execution.user_stream import take
from engine_service.venues.port import FundingReport, VenueUnavailable
from tests.fakes.engine import START_MS, fake, make_core
from tests.fakes.venue import FakeVenue

pytestmark = pytest.mark.anyio
D = Decimal
PAID = FundingReport(symbol="BTCUSDT.BINANCE", asset="USDT", amount=D("-1.5"), at_ms=START_MS, income_id="i1")


class FundingVenue(FakeVenue):
    """A venue that pays funding whether or not anybody is told."""

    def __init__(self, base: FakeVenue) -> None:
        super().__init__(base.clock, markets=(Market.FUTURES,))
        self.paid: list[FundingReport] = []
        self.unreadable = False

    def pay(self, report: FundingReport) -> None:
        self.paid.append(report)
        self.balances[Market.FUTURES, report.asset] += report.amount

    async def funding_since(self, since_ms: int) -> Sequence[FundingReport]:
        self.reads.append("funding")
        if self.unreadable:
            raise VenueUnavailable("VENUE_DOWN", "scripted")
        return [report for report in self.paid if report.at_ms >= since_ms]


@pytest.fixture
async def core() -> EngineCore:
    return make_core(venue=FundingVenue(fake(make_core())))


def venue_of(core: EngineCore) -> FundingVenue:
    found = core.venues["BINANCE"]
    assert isinstance(found, FundingVenue)
    return found


def figures(core: EngineCore) -> tuple[Decimal, Decimal, Decimal]:
    books = core.state.portfolio
    return books.funding, books.transfers, books.holding("BINANCE", Market.FUTURES, "USDT")


@pytest.mark.parametrize("trigger", ["start", "timer", "reconnect"])
async def test_a_payment_that_nobody_told_of_is_funding_and_no_transfer(core: EngineCore, trigger: str) -> None:
    venue_of(core).pay(PAID)
    report = await reconcile(core, trigger=trigger)
    assert report.ok
    assert report.venues[0].imported == ["i1"]
    assert figures(core) == (D("1.5"), D(0), D("9998.5"))


async def test_its_late_report_is_not_booked_again(core: EngineCore) -> None:
    venue_of(core).pay(PAID)
    await reconcile(core)
    take(core, "BINANCE", PAID)
    assert (await reconcile(core)).venues[0].imported == []
    assert figures(core) == (D("1.5"), D(0), D("9998.5"))


async def test_what_funding_does_not_explain_is_a_transfer(core: EngineCore) -> None:
    venue_of(core).pay(PAID)
    venue_of(core).pay(replace(PAID, amount=D("0.25"), income_id="i2"))
    venue_of(core).balances[Market.FUTURES, "USDT"] += D(100)
    await reconcile(core, trigger="start")
    assert figures(core) == (D("1.25"), D(100), D("10098.75"))


async def test_while_the_history_cannot_be_read_nothing_is_taken_for_a_transfer(core: EngineCore) -> None:
    venue_of(core).pay(PAID)
    venue_of(core).unreadable = True
    report = await reconcile(core, trigger="start")
    assert (report.ok, report.venues[0].error) == (False, "VENUE_DOWN")
    assert figures(core) == (D(0), D(0), D(10_000))


async def test_the_history_is_read_only_where_figures_differ(core: EngineCore) -> None:
    await reconcile(core)
    assert "funding" not in venue_of(core).reads


async def test_payments_that_memory_has_let_go_are_not_booked_again(core: EngineCore) -> None:
    for number in range(FUNDING_IDS_KEPT + 1):
        report = replace(PAID, amount=D("-0.01"), income_id=str(number))
        venue_of(core).pay(report)
        take(core, "BINANCE", report)
    venue_of(core).pay(PAID)
    assert (await reconcile(core)).venues[0].imported == ["i1"]
    assert figures(core) == (D("21.51"), D(0), D("9978.49"))

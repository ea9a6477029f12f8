"""Funding and income that no stream told of are booked as what they are, once; a transfer beside stays a transfer."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine_service.domain.ids import Market
from engine_service.domain.money_events import AdjustmentKind
from engine_service.domain.state import FUNDING_IDS_KEPT
from engine_service.execution.core import EngineCore
from engine_service.execution.funding import OVERLAP_MS
from engine_service.execution.reconcile import reconcile
from engine_service.execution.user_stream import take
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import AccountSnapshot, BalanceReport, FundingReport, IncomeReport
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
        self.got: list[IncomeReport] = []
        self.asked_since: list[int] = []
        self.unreadable = False

    def give(self, report: IncomeReport) -> None:
        self.got.append(report)
        key = Market.FUTURES, report.asset
        self.balances[key] = self.balances.get(key, D(0)) + report.amount

    async def income_since(self, since_ms: int) -> Sequence[IncomeReport]:
        self.asked_since.append(since_ms)
        return self.got

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


class BusyVenue(FundingVenue):
    """Pays while an account is read for the first time: what is read has the time at which it was asked for."""

    async def account(self, market: Market) -> AccountSnapshot:
        asked_ms = self.clock.now_ms()
        self.clock.advance(100)
        if not self.paid:
            self.pay(replace(PAID, at_ms=self.clock.now_ms()))
        return replace(await super().account(market), at_ms=asked_ms)


async def test_what_was_paid_while_an_account_is_first_read_is_part_of_it_and_not_booked_again() -> None:
    core = make_core(venue=BusyVenue(fake(make_core())), cash=None)
    await reconcile(core, trigger="start")
    assert core.state.portfolio.starting_equity == D("9998.5")
    venue_of(core).balances[Market.FUTURES, "USDT"] += D(100)
    (paid,) = venue_of(core).paid
    take(core, "BINANCE", paid)
    await reconcile(core, trigger="start")
    assert figures(core) == (D(0), D(100), D("10098.5"))


async def test_a_transfer_from_before_an_account_was_read_is_not_booked_when_it_is_told() -> None:
    core = make_core(venue=FundingVenue(fake(make_core())), cash=None)
    await reconcile(core, trigger="start")
    told = BalanceReport(
        venue="BINANCE",
        market=Market.FUTURES,
        at_ms=START_MS - 1,
        transfer_asset="USDT",
        transfer_amount=D(5),
        kind="transfer",
    )
    take(core, "BINANCE", told)
    assert figures(core) == (D(0), D(0), D(10_000))


def income(kind: AdjustmentKind, amount: str, *, asset: str = "USDT", number: int = 1) -> IncomeReport:
    return IncomeReport(asset=asset, amount=D(amount), kind=kind, at_ms=START_MS, income_id=f"{kind}:{number}:{asset}")


REBATE = income(AdjustmentKind.REBATE, "0.75")


def result(core: EngineCore) -> tuple[Decimal, Decimal]:
    assert core.state.portfolio.identity_error == 0
    return core.state.portfolio.realised, core.state.portfolio.transfers


@pytest.mark.parametrize("trigger", ["start", "timer", "reconnect"])
@pytest.mark.parametrize("kind", [AdjustmentKind.REBATE, AdjustmentKind.BONUS, AdjustmentKind.INSURANCE])
async def test_what_the_venue_gave_is_a_result_of_its_own_kind(
    core: EngineCore, kind: AdjustmentKind, trigger: str
) -> None:
    venue_of(core).give(income(kind, "0.75"))
    report = await reconcile(core, trigger=trigger)
    assert (report.ok, report.venues[0].imported) == (True, [f"income:{kind}:1:USDT"])
    assert result(core) == (D("0.75"), D(0))


async def test_a_conversion_moves_value_and_is_neither_result_nor_transfer(core: EngineCore) -> None:
    venue_of(core).give(income(AdjustmentKind.CONVERSION, "-5000"))
    venue_of(core).give(income(AdjustmentKind.CONVERSION, "0.1", asset="BTC"))
    report = await reconcile(core, trigger="start")
    assert (report.ok, report.venues[0].adopted) == (True, [])
    assert result(core) == (D(0), D(0))
    assert core.state.portfolio.holding("BINANCE", Market.FUTURES, "BTC") == D("0.1")


async def test_income_is_booked_once_whoever_tells_it_first(core: EngineCore) -> None:
    venue_of(core).give(REBATE)
    for _ in range(2):
        take(core, "BINANCE", REBATE)
    assert result(core) == (D("0.75"), D(0))
    venue_of(core).balances[Market.FUTURES, "USDT"] += D(100)
    assert (await reconcile(core, trigger="start")).venues[0].imported == []
    take(core, "BINANCE", REBATE)
    assert result(core) == (D("0.75"), D(100))


async def test_income_is_asked_for_since_a_little_before_the_last_comparison(core: EngineCore) -> None:
    clock = venue_of(core).clock
    await reconcile(core)
    compared_ms = clock.now_ms()
    clock.advance(3_600_000)
    venue_of(core).balances[Market.FUTURES, "USDT"] += D(1)
    await reconcile(core)
    assert venue_of(core).asked_since[0] == compared_ms - OVERLAP_MS


async def test_income_from_before_the_account_was_known_is_in_its_opening(core: EngineCore) -> None:
    venue_of(core).got.append(replace(REBATE, at_ms=-1))
    venue_of(core).balances[Market.FUTURES, "USDT"] += D(1)
    await reconcile(core, trigger="start")
    assert result(core) == (D(0), D(1))

"""Conformance cases of venues that are reached over a network: lost answers, limits, bans, clocks, broken streams."""

from __future__ import annotations

import asyncio

import pytest

from engine_service.domain.order_status import OrderStatus
from engine_service.venues.port import VenueUnavailable
from engine_service.venues.reports import (
    Accepted,
    NotFoundReport,
    OrderReport,
    OutcomeUnknown,
    ReadFailed,
    Rejected,
    StreamStatus,
)
from tests.integration.venues.rig import Rig, eventually


@pytest.mark.anyio
class FaultDeck:
    """Cases that every networked venue passes. ``placing`` says which requests place an order."""

    #: Path (or WebSocket API method) and HTTP method of a new order, as the exchange's faults name them.
    placing: tuple[str, str] = ("/api/v3/order", "POST")
    querying = "/api/v3/order"

    def _fault(self, rig: Rig, kind: str, **fields: object) -> None:
        path, method = self.placing
        rig.exchange.faults(kind, path=path, method=method, count=1, **fields)

    async def test_tf01_an_answer_lost_after_acceptance_is_doubt_and_the_query_finds_the_order(self, rig: Rig) -> None:
        self._fault(rig, "drop_after")
        order = rig.order()
        assert isinstance(await rig.venue.submit(order), OutcomeUnknown)
        found = await eventually(lambda: rig.venue.query_order(order), lambda found: isinstance(found, OrderReport))
        assert found.status is OrderStatus.FILLED
        fills = await rig.venue.query_fills(order)
        assert isinstance(fills, tuple)
        assert sum(fill.quantity for fill in fills) == order.quantity

    async def test_tf02_a_request_lost_on_its_way_is_the_same_doubt_and_nothing_is_found(self, rig: Rig) -> None:
        self._fault(rig, "drop_before")
        order = rig.order()
        assert isinstance(await rig.venue.submit(order), OutcomeUnknown)
        absent = await eventually(lambda: rig.venue.query_order(order), lambda found: isinstance(found, NotFoundReport))
        assert absent.endpoint
        assert await rig.venue.query_fills(order) == ()

    async def test_tf03_a_server_error_after_acceptance_is_doubt_and_the_query_finds_the_order(self, rig: Rig) -> None:
        self._fault(rig, "error_after", http_status=503, code=-1000, message="Unknown error")
        order = rig.resting()
        assert isinstance(await rig.venue.submit(order), OutcomeUnknown)
        assert isinstance(await rig.venue.query_order(order), OrderReport)
        await rig.venue.cancel(order)

    async def test_tf04_a_server_error_before_acceptance_looks_no_different(self, rig: Rig) -> None:
        self._fault(rig, "error", http_status=504, code=-1007, message="Timeout waiting for response")
        order = rig.resting()
        assert isinstance(await rig.venue.submit(order), OutcomeUnknown)
        assert isinstance(await rig.venue.query_order(order), NotFoundReport)

    async def test_tf05_a_429_is_a_refusal_with_its_time_and_nothing_more_leaves_until_then(self, rig: Rig) -> None:
        self._fault(rig, "rate_limit", http_status=429, retry_after_s=1)
        refused = await rig.venue.submit(rig.order())
        assert isinstance(refused, Rejected)
        assert (refused.code, refused.stop_venue, refused.not_sent) == ("VENUE_RATE_LIMITED", False, False)
        held = await rig.venue.submit(rig.order())
        assert isinstance(held, Rejected)
        assert held.not_sent
        assert 0 < held.retry_after_s <= 1
        await asyncio.sleep(1.05)
        assert isinstance(await rig.venue.submit(rig.order()), Accepted)

    async def test_tf06_a_418_stops_all_traffic_reads_too(self, rig: Rig) -> None:
        self._fault(rig, "rate_limit", http_status=418, retry_after_s=2)
        order = rig.order()
        refused = await rig.venue.submit(order)
        assert isinstance(refused, Rejected)
        assert (refused.code, refused.stop_venue) == ("VENUE_BANNED", True)
        held = await rig.venue.query_order(order)
        assert isinstance(held, ReadFailed)
        assert held.retry_after_s > 0
        with pytest.raises(VenueUnavailable):
            await rig.venue.account(rig.market)

    async def test_tf07_a_refused_timestamp_is_no_order_and_the_clock_is_measured_anew(self, rig: Rig) -> None:
        rig.exchange.faults("clock_skew", skew_ms=10_000)
        refused = await rig.venue.submit(rig.resting())
        assert isinstance(refused, Rejected)
        assert refused.code == "VENUE_TIMESTAMP"

        async def again() -> object:
            order = rig.resting()
            outcome = await rig.venue.submit(order)
            if isinstance(outcome, Accepted):
                await rig.venue.cancel(order)
            return outcome

        outcome = await eventually(again, lambda outcome: not isinstance(outcome, Rejected))
        assert isinstance(outcome, Accepted)

    async def test_tf07b_a_read_that_was_refused_for_its_time_has_the_clock_measured_too(self, rig: Rig) -> None:
        rig.exchange.faults("clock_skew", skew_ms=10_000)

        async def account() -> object:
            try:
                return await rig.venue.account(rig.market)
            except VenueUnavailable as error:
                return error

        refused = await account()
        assert isinstance(refused, VenueUnavailable)
        assert refused.code == "VENUE_TIMESTAMP"
        await eventually(account, lambda found: not isinstance(found, VenueUnavailable))

    async def test_tf08_a_lost_user_stream_is_told_and_comes_back_with_events(self, rig: Rig) -> None:
        recorder = rig.user_events()
        await recorder.until(StreamStatus, lambda status: status.connected)
        rig.exchange.faults("disconnect", stream="user", count=1)
        await recorder.until(StreamStatus, lambda status: not status.connected)
        await eventually(lambda: _ready(recorder.seen), lambda ups: ups == 2)
        order = rig.order()
        await rig.accepted(order)
        await recorder.until(OrderReport, lambda report: report.client_order_id == order.client_order_id)

    async def test_tf09_a_lost_market_stream_is_told_and_comes_back_with_quotes(self, rig: Rig) -> None:
        recorder = rig.market_events()
        await recorder.until(StreamStatus, lambda status: status.connected)
        rig.exchange.faults("disconnect", stream="public", count=1)
        lost = await recorder.until(StreamStatus, lambda status: not status.connected)
        at = recorder.seen.index(lost)
        await eventually(lambda: _ready(recorder.seen[at:]), lambda ups: ups >= 1)

    async def test_tf10_under_maintenance_reads_are_no_evidence(self, rig: Rig) -> None:
        order = rig.resting()
        rig.exchange.faults("maintenance")
        assert isinstance(await rig.venue.query_order(order), ReadFailed)
        with pytest.raises(VenueUnavailable):
            await rig.venue.account(rig.market)

    async def test_tf11_with_nobody_listening_nothing_was_sent(self, rig: Rig, unreachable: Rig) -> None:
        outcome = await unreachable.venue.submit(rig.order())
        assert isinstance(outcome, Rejected)
        assert (outcome.code, outcome.not_sent) == ("VENUE_UNREACHABLE", True)

    async def test_tf12_a_report_sent_twice_is_told_twice_under_one_trade_id(self, rig: Rig) -> None:
        recorder = rig.user_events()
        await recorder.until(StreamStatus, lambda status: status.connected)
        rig.exchange.faults("duplicate", count=5)
        order = rig.order()
        await rig.accepted(order)
        mine = await eventually(lambda: _fills_of(recorder.seen, order.client_order_id), lambda keys: len(keys) >= 2)
        assert len(set(mine)) < len(mine)


async def _ready(seen: list[object]) -> int:
    return sum(isinstance(event, StreamStatus) and event.connected for event in seen)


async def _fills_of(seen: list[object], client_order_id: str) -> list[tuple[str, ...]]:
    reports = [event for event in seen if isinstance(event, OrderReport) and event.fill is not None]
    return [r.fill.key for r in reports if r.client_order_id == client_order_id and r.fill is not None]

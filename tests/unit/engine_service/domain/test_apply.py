"""What each event that is not about an order's life leaves in the state, and that nothing is remembered for ever."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine_service.domain import events as e
from engine_service.domain.apply import IllegalEvent, apply, trade_rank
from engine_service.domain.ids import Market
from engine_service.domain.order_status import Doubt, OrderSide, OrderStatus
from engine_service.domain.state import (
    CLOSED_BRACKETS_KEPT,
    FINISHED_KEPT,
    FINISHED_LOT,
    FUNDING_IDS_KEPT,
    EngineState,
    Halt,
    Restriction,
    StrategySettings,
)
from tests.unit.engine_service.domain.test_state import an_order, filled, funded, working

D = Decimal
BTC = "BTCUSDT.BINANCE"


def put(state: EngineState, *events: e.Event) -> EngineState:
    for event in events:
        apply(state, event)
    return state


def submitted(cid: str = "c1") -> EngineState:
    return put(
        funded(),
        e.OrderInitialized(at_ms=1, client_order_id=cid, order=an_order(cid)),
        e.OrderSubmitted(at_ms=1, client_order_id=cid, sent_at_ms=1, fence_at_ms=2),
    )


def adjusted(
    amount: str, *, reference: str = "", kind: e.AdjustmentKind = e.AdjustmentKind.TRANSFER
) -> e.BalanceAdjusted:
    return e.BalanceAdjusted(
        at_ms=5,
        venue="BINANCE",
        market=Market.SPOT,
        asset="USDT",
        amount=D(amount),
        rate=D(1),
        kind=kind,
        reference=reference,
    )


def equity(**more: Any) -> e.EquityRecorded:
    values = dict.fromkeys(("realised_pnl", "unrealised_pnl", "fees", "funding", "transfers"), D(0))
    values |= {"equity": D(1000), "peak": D(1200), "day_start": D(1100)}
    return e.EquityRecorded(at_ms=4, **(values | more))


def test_every_event_is_counted_by_kind_and_the_newest_time_is_kept() -> None:
    state = put(EngineState(), e.TradingResumed(at_ms=9, principal="me", reason="x"))
    put(
        state,
        e.TradingResumed(at_ms=7, principal="me", reason="x"),
        e.Anomaly(at_ms=8, kind="odd", subject="", detail=""),
    )
    assert state.image.counts == {"TradingResumed": 2, "Anomaly": 1}
    assert state.image.last_event_ms == 9


def test_an_event_that_is_refused_leaves_no_trace() -> None:
    state = submitted()
    before = (dict(state.image.counts), state.image.last_event_ms)
    for wrong in (
        e.OrderInitialized(at_ms=99, client_order_id="c1", order=an_order("c1")),
        e.OrderReleased(at_ms=99, client_order_id="c1", reason="x", principal="me"),
        e.OrderAccepted(at_ms=99, client_order_id="nobody", venue_order_id="v"),
    ):
        with pytest.raises(IllegalEvent) as refused:
            apply(state, wrong)
        assert refused.value.code == "ILLEGAL_EVENT"
    assert (state.image.counts, state.image.last_event_ms) == before
    assert state.order("c1") is not None


def test_an_order_that_comes_back_to_memory_brings_its_trades_and_replaces_none() -> None:
    order, fill = replace(an_order("old"), status=OrderStatus.FILLED), filled("old", "2").fill
    recalled = e.OrderRecalled(at_ms=1, client_order_id="old", order=order, fills=(fill,))
    state = put(EngineState(), recalled)
    assert (state.order("old"), state.fills_of("old")) == (order, (fill,))
    put(state, replace(recalled, order=replace(order, code="X"), fills=()))
    assert (state.order("old"), state.fills_of("old")) == (order, (fill,))
    assert state.knows_fill("old", fill)
    assert not state.knows_fill("old", replace(fill, trade_id="2"))


def test_an_order_of_somebody_else_is_taken_in() -> None:
    order = replace(an_order("x1"), status=OrderStatus.ACCEPTED, external=True)
    state = put(funded(), e.ExternalOrderAdopted(at_ms=1, client_order_id="x1", order=order))
    assert state.open_orders == {"x1": order}


def test_a_trade_is_booked_and_its_reversal_takes_all_of_it_back() -> None:
    state = funded()
    working(state)
    before = (state.portfolio.book_value, state.exposure.equity)
    event = filled("c1", "2")
    put(state, event)
    assert state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == 2
    back = e.OrderFillReversed(
        at_ms=6,
        client_order_id="c1",
        fill=event.fill,
        base="BTC",
        quote="USDT",
        quote_rate=D(1),
        fee_rate=D(1),
        reason=e.Reversal.BUST,
    )
    put(state, back)
    assert state.fills_of("c1") == (event.fill, event.fill.opposite)
    assert state.portfolio.holding("BINANCE", Market.SPOT, "BTC") == 0
    assert (state.portfolio.book_value, state.exposure.equity) == before
    assert state.exposure.worst(f"{BTC}|spot") == 0


def test_an_order_proved_absent_is_watched_until_its_time_or_until_it_appears() -> None:
    state = submitted("a")
    put(state, e.OrderNotPlaced(at_ms=10, client_order_id="a", code="X", watch_until_ms=20))
    for number, (cid, at_ms) in enumerate([("b", 15), ("c", 20), ("d", 21)]):
        put(
            state,
            e.OrderInitialized(at_ms=at_ms, client_order_id=cid, order=an_order(cid)),
            e.OrderNotPlaced(at_ms=at_ms, client_order_id=cid, code="X", watch_until_ms=100 * (number == 1)),
        )
        assert ("a" in state.image.tombstones) is (at_ms <= 20)
    assert state.image.tombstones == {"c": 100}
    put(state, e.OrderResurrected(at_ms=30, client_order_id="c"))
    assert state.image.tombstones == {}
    assert state.open_orders["c"].status is OrderStatus.RESURRECTED


def test_an_order_that_appears_after_its_watch_has_ended_is_still_taken_in() -> None:
    state = put(submitted(), e.OrderNotPlaced(at_ms=10, client_order_id="c1", code="X"))
    assert state.image.tombstones == {}
    put(state, e.OrderResurrected(at_ms=30, client_order_id="c1"))
    assert "c1" in state.open_orders


def test_a_deposit_moves_the_marks_of_equity_and_an_opening_does_not() -> None:
    state = put(funded(), equity(), adjusted("-1500"))
    seen = state.image.equity
    assert seen is not None
    assert (seen.equity, seen.peak, seen.day_start, seen.transfers) == (D(-500), D(0), D(-400), D(-1500))
    assert seen.at_ms == 4
    opening = adjusted("50", kind=e.AdjustmentKind.OPENING)
    assert put(state, opening).image.equity == seen
    assert state.exposure.equity == D(-450)
    assert put(EngineState(), adjusted("5")).image.equity is None


def test_a_transfer_the_stream_told_of_is_remembered_and_another_is_not() -> None:
    state = put(funded(), adjusted("1", reference="stream:7"), adjusted("1", reference="reconciliation"))
    assert state.image.funding_ids == ["stream:7"]


def test_funding_reaches_the_wallet_and_is_remembered_a_while() -> None:
    state = EngineState()
    for number in range(FUNDING_IDS_KEPT + 2):
        put(
            state,
            e.FundingPaid(
                at_ms=1, venue="BINANCE", symbol=BTC, asset="USDT", amount=D(-1), rate=D(1), income_id=str(number)
            ),
        )
    assert (len(state.image.funding_ids), state.image.funding_ids[0]) == (FUNDING_IDS_KEPT, "2")
    assert state.exposure.equity == -FUNDING_IDS_KEPT - 2
    assert FUNDING_IDS_KEPT == 2_000


def test_a_position_that_is_taken_over_is_exposure() -> None:
    adopted = e.PositionAdopted(at_ms=1, symbol=BTC, quote="USDT", quantity=D(-2), price=D(50), quote_rate=D(1))
    state = put(EngineState(), adopted)
    assert state.portfolio.position(BTC) == -2
    assert state.exposure.worst(f"{BTC}|futures") == 100


def test_what_a_position_that_is_taken_over_brought_is_equity_at_once() -> None:
    came = e.PositionAdopted(at_ms=1, symbol=BTC, quote="USDT", quantity=D(-2), price=D(50), quote_rate=D(1))
    state = put(EngineState(), came)
    put(state, replace(came, quantity=D(2), price=D(45), realised=D(10)))
    assert (state.portfolio.realised, state.portfolio.position(BTC)) == (D(10), D(0))
    assert state.exposure.equity == 10


def test_a_halt_is_the_first_ones_until_it_is_resumed() -> None:
    state = put(EngineState(), e.TradingHalted(at_ms=1, reason="a", principal="me"))
    put(state, e.TradingHalted(at_ms=2, reason="b", principal="you"))
    assert (state.image.halt, state.halted) == (Halt(reason="a", principal="me", at_ms=1), True)
    put(state, e.TradingResumed(at_ms=3, principal="me", reason="ok"))
    assert (state.image.halt, state.halted) == (None, False)


def test_a_restriction_is_of_one_instrument_until_its_time_or_until_it_is_lifted() -> None:
    state = put(
        EngineState(),
        e.SymbolRestricted(at_ms=1, symbol=BTC, market=Market.SPOT, code="X", reason="r", until_ms=50),
        e.SymbolRestricted(at_ms=1, symbol=BTC, market=Market.FUTURES, code="Y", reason="r"),
    )
    spot = Restriction(symbol=BTC, market=Market.SPOT, code="X", reason="r", until_ms=50)
    assert [state.restriction(BTC, Market.SPOT, at_ms) for at_ms in (49, 50)] == [spot, None]
    assert state.restriction(BTC, Market.FUTURES, 10**15) is not None
    assert state.restriction("ETHUSDT.BINANCE", Market.SPOT, 0) is None
    put(state, e.SymbolReleased(at_ms=2, symbol=BTC, market=Market.FUTURES, principal="me", reason="ok"))
    put(state, e.SymbolReleased(at_ms=2, symbol=BTC, market=Market.FUTURES, principal="me", reason="ok"))
    assert state.restriction(BTC, Market.FUTURES, 0) is None
    assert state.restriction(BTC, Market.SPOT, 0) == spot


def test_starts_limits_and_strategies_are_kept_as_told() -> None:
    values = {"max_notional": "5"}
    state = put(
        EngineState(),
        e.EngineStarted(at_ms=1, epoch=7, version="1"),
        e.RiskConfigChanged(at_ms=1, version=3, values=values, changed=values, principal="me", reason="x"),
        e.StrategyChanged(
            at_ms=1, strategy="a", enabled=True, dry_run=True, budget=D(5), weight=D(2), model_version="m1"
        ),
    )
    assert (state.image.epoch, state.image.risk_version, state.image.risk_values) == (7, 3, values)
    expected = StrategySettings(strategy="a", enabled=True, dry_run=True, budget=D(5), weight=D(2), model_version="m1")
    assert state.strategy("a") == expected
    assert state.strategy("b") is None


def test_a_strategy_nobody_set_up_is_off_without_budget() -> None:
    settings = StrategySettings(strategy="a")
    assert (settings.enabled, settings.dry_run, settings.budget, settings.weight) == (False, False, D(0), D(1))


def test_a_difference_is_open_until_it_is_settled() -> None:
    def found(resolution: str) -> e.BreakFound:
        return e.BreakFound(
            at_ms=1,
            break_id="b1",
            venue="BINANCE",
            market=Market.SPOT,
            kind="balance",
            subject="USDT",
            ours="1",
            theirs="2",
            resolution=resolution,
        )

    state = put(EngineState(), found("open"))
    assert list(state.image.open_breaks) == ["b1"]
    put(state, found("booked"), found("booked"))
    assert state.image.open_breaks == {}


def test_a_comparison_moves_the_newest_trade_forwards_only_and_opens_an_account_once() -> None:
    def compared(as_of_ms: int, **ids: str) -> e.ReconciliationCompleted:
        return e.ReconciliationCompleted(
            at_ms=1, venue="BINANCE", trigger="x", as_of_ms=as_of_ms, imported=0, closed=0, last_trade_ids=ids
        )

    state = put(EngineState(), compared(5, a="9", b="x"), compared(6, a="10", b="w"), compared(7, a="9", b="y"))
    assert state.image.last_trade_ids == {"a": "10", "b": "y"}
    assert state.image.opened_accounts == {"BINANCE": 5}


def test_trade_ids_are_ranked_as_numbers_where_they_are_numbers() -> None:
    ranked = sorted(["10", "9", "a9", "a10", "", "٣"], key=trade_rank)
    assert ranked == ["", "a10", "a9", "٣", "9", "10"]
    assert trade_rank("x") == (-1, "x")


def test_the_newest_closed_brackets_are_remembered() -> None:
    state = EngineState()
    for number in range(CLOSED_BRACKETS_KEPT + 1):
        put(state, e.BracketClosed(at_ms=1, bracket_id=str(number), symbol=BTC, market=Market.SPOT, outcome="x"))
    assert (len(state.image.closed_brackets), state.image.closed_brackets[0]) == (CLOSED_BRACKETS_KEPT, "1")
    assert CLOSED_BRACKETS_KEPT == 4_000


# --- orders as they are looked for --------------------------------------------------------------------------


def test_orders_are_found_by_symbol_strategy_venue_id_and_doubt() -> None:
    state = funded()
    working(state, "a")
    order = replace(an_order("b"), symbol="ETHUSDT.BINANCE", strategy="s", side=OrderSide.SELL)
    put(state, e.OrderInitialized(at_ms=1, client_order_id="b", order=order))
    ids = lambda orders: [found.client_order_id for found in orders]  # noqa: E731  # one line, used five times below
    assert ids(state.working_orders()) == ["a", "b"]
    assert ids(state.working_orders("ETHUSDT.BINANCE")) == ["b"]
    assert ids(state.working_orders(BTC, "s")) == []
    assert ids(state.working_orders(strategy="s")) == ["b"]
    assert ids(state.orders_of_line(BTC, Market.SPOT)) == ["a"]
    assert state.orders_of_line(BTC, Market.FUTURES) == []
    assert state.order_by_venue_id(BTC, "v-a") == state.order("a")
    assert (state.order_by_venue_id(BTC, "v-b"), state.order_by_venue_id("ETHUSDT.BINANCE", "")) == (None, None)
    put(state, e.OrderPendingCancel(at_ms=2, client_order_id="a"))
    put(state, e.OrderInDoubt(at_ms=2, client_order_id="a", doubt=Doubt.CANCEL))
    assert list(state.in_doubt) == ["a"]
    put(state, e.OrderCanceled(at_ms=3, client_order_id="a"))
    assert (list(state.in_doubt), list(state.open_orders), ids(state.orders_of_line(BTC, Market.SPOT))) == (
        [],
        ["b"],
        [],
    )


def test_a_state_rebuilt_from_its_image_is_priced_in_its_currency() -> None:
    state = EngineState()
    state.set_reporting("EUR")
    assert {state.image.reporting, state.portfolio.reporting, state.exposure.reporting} == {"EUR"}
    assert EngineState(state.image).exposure.reporting == "EUR"


def test_what_is_let_go_from_memory_is_let_go_whole_and_in_lots() -> None:
    state = funded()
    for number in range(FINISHED_KEPT + FINISHED_LOT - 1):
        cid = f"c{number}"
        order = replace(an_order(cid), status=OrderStatus.DENIED, venue_order_id=f"v{number}")
        put(state, e.OrderInitialized(at_ms=1, client_order_id=cid, order=order))
    state.image.fills["c1"] = [filled("c1", "1").fill]
    put(state, filled("c0", "0"))  # a trade makes it open again: it stays
    assert len(state.image.orders) == FINISHED_KEPT + FINISHED_LOT - 1
    working(state, "last")
    put(state, e.OrderCanceled(at_ms=1, client_order_id="last"))
    assert (FINISHED_KEPT, FINISHED_LOT) == (2_000, 256)
    assert len(state.image.finished) == FINISHED_KEPT
    assert len(state.image.orders) == FINISHED_KEPT + 1
    assert state.order("c0") is not None
    assert (state.order("c1"), state.order_by_venue_id(BTC, "v1")) == (None, None)
    assert (BTC, "v1") not in state.by_venue_id
    assert "c1" not in state.image.fills
    assert state.order(f"c{FINISHED_LOT}") is not None
    assert state.image.finished[0] == f"c{FINISHED_LOT}"


def test_an_order_is_counted_as_finished_once() -> None:
    state = funded()
    working(state)
    put(state, e.OrderCanceled(at_ms=1, client_order_id="c1"), e.OrderCanceled(at_ms=2, client_order_id="c1"))
    assert state.image.finished == ["c1"]
    assert state.exposure.reserved["BINANCE|spot|USDT"] == 0


@pytest.mark.parametrize(
    ("change", "funds"),
    [
        ({"reserve_per_unit": D(105)}, {"BINANCE|spot|USDT": D(210)}),
        ({"reserve_asset": "TRY"}, {"BINANCE|spot|USDT": D(0), "BINANCE|spot|TRY": D(202)}),
        ({"reserve_asset": ""}, {"BINANCE|spot|USDT": D(0)}),
        ({"quantity": D(3)}, {"BINANCE|spot|USDT": D(303)}),
        ({"code": "X"}, {"BINANCE|spot|USDT": D(202)}),
    ],
)
def test_what_an_order_holds_back_follows_whatever_of_it_changes(
    change: dict[str, Any], funds: dict[str, Decimal]
) -> None:
    state = funded()
    working(state)
    state.put_order(replace(state.open_orders["c1"], **change))
    assert state.exposure.reserved == funds


@pytest.mark.parametrize(("change", "worst"), [({"unit_value": D(50)}, 100), ({"strategy": "s"}, 200)])
def test_what_an_order_puts_at_risk_follows_its_value_and_its_strategy(change: dict[str, Any], worst: int) -> None:
    state = funded()
    working(state)
    state.put_order(replace(state.open_orders["c1"], **change))
    assert state.exposure.totals.worst == worst
    assert state.exposure.strategy_exposure(change.get("strategy", "manual")) == worst
    assert state.exposure.strategy_exposure("manual") == (0 if "strategy" in change else worst)

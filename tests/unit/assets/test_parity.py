"""A live day against its backtest: what the journal says of it, who decided what, and that nothing is left over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from assets.bar_history import BarHistory
from assets.intervals import Span
from assets.live_day import EARLIER, live_day, number_before, read_day
from assets.parity import by_cause, day_frame, difference_frame
from assets.parity_backtest import Costs, Rules, StrategyView, ideal_day
from assets.parity_comparison import ComparedDay, Comparison
from assets.ports import BarRow
from engine_service.api.views import event_view
from engine_service.domain import events as e
from engine_service.domain.fill import Fill
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.storage.port import Recorded
from governance.registry import ModelRegistry
from orchestration.environment import load
from strategies.contracts import Bar
from strategies.research.parity import Cause, gap
from tests.unit.assets.bars import DAY, START, STEP, SYMBOL, bars, stored
from warehouse.store import Warehouse

BARS = 300
RULES = load({}).decisions.parity
COMMON: dict[str, Any] = {"compared_at": None, "run_id": ""}
CROSS = StrategyView(name="ma_cross", weight=0.5, parameters={"order_notional": "150", "fast": 9, "slow": 21})
INSTRUMENT = Rules(quote="USDT", tick=Decimal("0.01"), step=Decimal("0.0001"), min_notional=Decimal(5))
COSTS = Costs(fee_bps=RULES.fee_bps, half_spread_bps=RULES.half_spread_bps)


@dataclass
class RecordedEngine:
    """An engine that answers from a list of events, as the real one's API writes them."""

    log: list[e.Event] = field(default_factory=list)

    def events(self, after: int = 0, limit: int = 500) -> list[dict[str, Any]]:
        page = list(enumerate(self.log, start=1))[after : after + limit]
        return [dict(event_view(Recorded(seq=seq, event=event))) for seq, event in page]

    def get_portfolio(self) -> dict[str, Any]:
        return {"seq": len(self.log)}

    def get_strategies(self) -> list[dict[str, Any]]:
        return [{"strategy": CROSS.name, "weight": "0.5", "enabled": True, "parameters": CROSS.parameters}]

    def get_universe(self) -> dict[str, list[str]]:
        return {"watched": [SYMBOL]}

    def get_instrument(self, symbol: str) -> dict[str, Any]:
        return {"quote": "USDT", "tick": "0.01", "step": "0.0001", "min_notional": "5"}


class NoVenue:
    """A venue that has nothing newer than what is stored."""

    def bars(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[BarRow]:
        return []


@dataclass(frozen=True, kw_only=True)
class Told:
    """One order as a journal tells it."""

    open_ms: int
    quantity: Decimal
    price: Decimal
    mark: Decimal
    fee: Decimal
    leg: str = "entry"
    why: Mapping[str, str] | None = None

    def events(self, number: int) -> list[e.Event]:
        at_ms = self.open_ms + STEP + 50
        cid, side = f"order{number}", OrderSide.BUY if self.quantity > 0 else OrderSide.SELL
        why = {"bar_open_ms": str(self.open_ms), "mark": str(self.mark)} if self.why is None else dict(self.why)
        order = Order(
            client_order_id=cid,
            symbol=SYMBOL,
            market=Market.SPOT,
            side=side,
            type=OrderType.MARKET,
            status=OrderStatus.INITIALIZED,
            quantity=abs(self.quantity),
            strategy="ma_cross",
            leg=self.leg,
            why=why,
        )
        fill = Fill(
            venue="BINANCE",
            market=Market.SPOT,
            symbol=SYMBOL,
            trade_id=str(number),
            client_order_id=cid,
            venue_order_id=str(number),
            side=side,
            price=self.price,
            quantity=abs(self.quantity),
            fee=self.fee,
            fee_asset="USDT",
            at_ms=at_ms,
        )
        return [
            signal(self.open_ms),
            e.OrderInitialized(at_ms=at_ms, client_order_id=cid, order=order),
            e.OrderFilled(
                at_ms=at_ms,
                client_order_id=cid,
                fill=fill,
                base="BTC",
                quote="USDT",
                quote_rate=Decimal(1),
                fee_rate=Decimal(1),
                strategy="ma_cross",
            ),
        ]


def signal(open_ms: int) -> e.SignalEmitted:
    return e.SignalEmitted(
        at_ms=open_ms + STEP + 20,
        strategy="ma_cross",
        symbol=SYMBOL,
        market=Market.SPOT,
        bar_open_ms=open_ms,
        confidence=1.0,
        target=1.0,
    )


@pytest.fixture
def history(tmp_path: Path) -> BarHistory:
    return BarHistory(stored(Warehouse(tmp_path), bars(BARS)), NoVenue(), load({}).research)


@pytest.fixture
def day_bars(history: BarHistory) -> list[Bar]:
    return history.between(SYMBOL, START, START + (BARS - 1) * STEP)


def as_backtested(day: Sequence[Bar]) -> list[Told]:
    """Return orders that did exactly what the backtest of the bars does."""
    ideal = ideal_day(day, 0, [CROSS], [], INSTRUMENT, COSTS, "spot")["ma_cross"]
    assert len(ideal.filled) >= 4
    return [
        Told(
            open_ms=open_ms,
            quantity=one.quantity,
            price=one.value / one.quantity,
            mark=Decimal(repr(day[(open_ms - START) // STEP].close)).quantize(Decimal("1e-8")),
            fee=one.fee,
            leg="entry" if one.quantity > 0 else "exit",
        )
        for open_ms, one in sorted(ideal.filled.items())
    ]


def compared(history: BarHistory, tmp_path: Path, log: Sequence[e.Event]) -> ComparedDay:
    heart = [e.EngineStarted(at_ms=START - 1, epoch=1, version="1")]
    alive = [e.Anomaly(at_ms=START + minute * STEP, kind="k", subject="s", detail="d") for minute in range(BARS)]
    engine = RecordedEngine(sorted([*heart, *alive, *log], key=lambda event: event.at_ms))
    registry = ModelRegistry(tmp_path / "registry")
    comparison = Comparison(load({}).research, RULES, history, registry, engine)
    return comparison.of(DAY, START + BARS * STEP + RULES.settle_s * 1000)


def log_of(orders: Sequence[Told]) -> list[e.Event]:
    return [event for number, order in enumerate(orders) for event in order.events(number)]


def amounts(one: ComparedDay) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for part in one.found:
        found[part.cause.value] = found.get(part.cause.value, Decimal(0)) + part.amount
    return found


def test_a_day_that_went_as_backtested_differs_in_nothing(
    history: BarHistory, day_bars: list[Bar], tmp_path: Path
) -> None:
    one = compared(history, tmp_path, log_of(as_backtested(day_bars)))
    assert len(one.decisions) >= 4
    assert all(decision.in_both for decision in one.decisions)
    assert one.found == []
    assert gap(one.decisions, one.ends) == 0


def test_a_higher_fee_a_wider_spread_and_a_later_order_are_told_apart(
    history: BarHistory, day_bars: list[Bar], tmp_path: Path
) -> None:
    orders = as_backtested(day_bars)
    first = orders[0]
    orders[0] = replace(first, fee=first.fee + 1, mark=first.mark + Decimal("0.5"), price=first.price + Decimal("0.75"))
    one = compared(history, tmp_path, log_of(orders))
    assert amounts(one) == {
        "fee": Decimal(-1),
        "latency": -first.quantity * Decimal("0.5"),
        "spread": -first.quantity * Decimal("0.25"),
    }
    assert gap(one.decisions, one.ends) == sum(amounts(one).values())


def test_an_order_that_was_not_sent_is_missed_with_its_reason(
    history: BarHistory, day_bars: list[Bar], tmp_path: Path
) -> None:
    orders = as_backtested(day_bars)
    denied, silent, unseen = orders[0], orders[1], orders[2]
    cid = "denied"
    log = log_of(orders[3:])
    initialized = denied.events(0)[1]
    assert isinstance(initialized, e.OrderInitialized)
    log += [
        signal(denied.open_ms),
        changed(initialized, client_order_id=cid),
        e.OrderDenied(at_ms=initialized.at_ms, client_order_id=cid, code="PRICE_BAND", reason="far"),
        signal(silent.open_ms),
    ]
    one = compared(history, tmp_path, log)
    told = {part.decision.bar_open_ms: (part.cause, part.detail) for part in one.found if part.cause is not Cause.FEE}
    assert told[denied.open_ms] == (Cause.RAIL, "PRICE_BAND")
    assert told[silent.open_ms] == (Cause.MISSED, "no order followed the signal")
    assert told[unseen.open_ms] == (Cause.DATA, "live had no such signal")


def test_what_live_did_beyond_the_backtest_is_protection_data_or_an_outside_wish(
    history: BarHistory, day_bars: list[Bar], tmp_path: Path
) -> None:
    orders = as_backtested(day_bars)
    quiet = next(bar.open_at_ms for bar in day_bars[30:] if bar.open_at_ms not in {one.open_ms for one in orders})
    own = replace(orders[0], open_ms=quiet)
    more = [
        replace(own, leg="stop_loss", why={}),
        replace(own, why={"bar_open_ms": str(quiet), "source": "external"}),
        own,
    ]
    one = compared(history, tmp_path, log_of([*orders, *more]))
    told = {(part.cause, part.detail) for part in one.found if part.cause is not Cause.FEE}
    assert told == {
        (Cause.PROTECTION, "stop_loss"),
        (Cause.DATA, "a wish from outside"),
        (Cause.DATA, "the backtest has no such signal"),
    }


def test_an_engine_that_was_down_missed_its_decisions(history: BarHistory, tmp_path: Path) -> None:
    engine = RecordedEngine([e.EngineStarted(at_ms=START - 1, epoch=1, version="1")])
    comparison = Comparison(load({}).research, RULES, history, ModelRegistry(tmp_path / "registry"), engine)
    one = comparison.of(DAY, START + 2 * BARS * STEP)
    assert {part.detail for part in one.found if part.cause is not Cause.FEE} == {"the engine did not run"}


def test_a_day_before_the_engine_was_first_started_is_not_compared(history: BarHistory, tmp_path: Path) -> None:
    engine = RecordedEngine([e.EngineStarted(at_ms=START + 2 * BARS * STEP, epoch=1, version="1")])
    comparison = Comparison(load({}).research, RULES, history, ModelRegistry(tmp_path / "registry"), engine)
    one = comparison.of(DAY, START + 2 * BARS * STEP)
    assert (one.strategies, one.decisions, one.left_out) == ([], [], {})


def test_a_day_becomes_rows_whose_causes_are_its_gap(history: BarHistory, day_bars: list[Bar], tmp_path: Path) -> None:
    orders = as_backtested(day_bars)
    one = compared(history, tmp_path, log_of([*orders[:1], *orders[3:]]))
    rows, days = difference_frame(one, COMMON), day_frame(one, COMMON)
    assert rows["amount"].sum() == (days["live"] - days["ideal"]).sum() != 0
    assert days["live_orders"].to_list() == [len(orders) - 2]
    assert sum(by_cause(one.found).values()) == pytest.approx(float(rows["amount"].sum()))


def test_fills_of_an_order_from_before_the_day_are_told_as_such() -> None:
    _, initialized, filled = Told(
        open_ms=START, quantity=Decimal(1), price=Decimal(100), mark=Decimal(100), fee=Decimal(0)
    ).events(0)
    assert initialized is not None
    (order,) = live_day([event_view(Recorded(seq=7, event=filled))], START).orders.values()
    assert (order.leg, order.key, order.filled.value) == (EARLIER, None, Decimal(100))


@pytest.mark.parametrize("before", [0, 1, 6, 7])
def test_a_day_is_found_in_a_long_journal_without_reading_it_all(before: int) -> None:
    log = [e.Anomaly(at_ms=START - before + at, kind="k", subject="s", detail="d") for at in range(7)]
    engine = RecordedEngine(list(log))
    assert number_before(engine, START, len(log)) == before
    found = read_day(engine, Span(START, START + 3))
    assert found.alive_ms == [event.at_ms for event in log if START <= event.at_ms < START + 3]

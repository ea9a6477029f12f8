"""An engine core on fakes: manual clock, scripted venue, journal in memory or on disk."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import count
from pathlib import Path

from engine_service.domain import events as e
from engine_service.domain.clock import ManualClock
from engine_service.domain.events import IdempotencyMark
from engine_service.domain.ids import Market
from engine_service.domain.marks import Mark, MarkBook
from engine_service.domain.money import ONE
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from engine_service.domain.state import EngineState
from engine_service.execution.core import EngineCore, Phase
from engine_service.risk.gate import RiskGate
from engine_service.risk.policy import RiskPolicy, changed, parse
from engine_service.storage.idempotency import IdempotencyStore
from engine_service.storage.journal import SqliteJournal
from engine_service.storage.layout import EngineFiles
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.opening import open_journal as open_in
from engine_service.storage.port import Journal
from engine_service.storage.restore import restore
from engine_service.yaml_strict import load_file
from tests.fakes.venue import INSTRUMENTS, FakeVenue

D = Decimal
CASH = D("10000")
START_MS = 1_700_000_000_000
_KEYS = count(1)
POLICY_FILE = Path(__file__).parents[2] / "config" / "risk.yaml"


def policy(**changes: object) -> RiskPolicy:
    """Return the limits of config/risk.yaml with changes; wide where a test does not care."""
    text = load_file(POLICY_FILE)
    wide = {
        "order_rate_per_min": "1000000",
        "duplicate_window_ms": "0",
        "max_notional": "1000000",
        "symbol_exposure_cap": "1000000",
        "total_exposure_cap": "1000000",
        "venue_exposure_cap": "1000000",
        "strategy_budget_default": "1000000",
        "daily_loss": "1000000",
        "max_in_doubt": "1000",
        "price_stale_ms": "3600000",
    }
    return changed(parse(text), {**wide, **changes})


async def instant_sleep(clock: ManualClock, seconds: float) -> None:
    """Let the clock jump instead of waiting."""
    clock.advance(round(seconds * 1000))
    await asyncio.sleep(0)


def make_core(
    *,
    venue: FakeVenue | None = None,
    journal: Journal | None = None,
    state: EngineState | None = None,
    limits: RiskPolicy | None = None,
    ready: bool = True,
    cash: Decimal | None = CASH,
) -> EngineCore:
    """Build a core that trades at once: 10,000 USDT on every market, fresh marks."""
    clock = ManualClock(START_MS) if venue is None else venue.clock
    venue = venue or FakeVenue(clock)
    journal = journal or MemoryJournal()
    core = EngineCore(
        account="test",
        instance_key=b"k" * 32,
        clock=clock,
        state=state or EngineState(),
        journal=journal,
        marks=MarkBook(),
        gate=RiskGate(limits or policy()),
        venues={"BINANCE": venue},
        idempotency=IdempotencyStore(journal.answer, clock),
        sleep=lambda seconds: instant_sleep(clock, seconds),
    )
    core.connect()
    core.instruments = {(i.symbol, i.market): i for i in INSTRUMENTS}
    refresh_marks(core, venue)
    if cash is not None and not core.state.image.opened_accounts:
        for market in venue.markets:
            core.record(opening(core, market, "USDT", cash))
        core.record(
            e.ReconciliationCompleted(
                at_ms=core.clock.now_ms(), venue="BINANCE", trigger="start", as_of_ms=0, imported=0, closed=0
            )
        )
    if ready:
        core.phase = Phase.READY
    return core


def opening(core: EngineCore, market: Market, asset: str, amount: Decimal, rate: Decimal = ONE) -> e.BalanceAdjusted:
    """Return the event that starts an account."""
    return e.BalanceAdjusted(
        at_ms=core.clock.now_ms(),
        venue="BINANCE",
        market=market,
        asset=asset,
        amount=amount,
        rate=rate,
        kind=e.AdjustmentKind.OPENING,
    )


def refresh_marks(core: EngineCore, venue: FakeVenue) -> None:
    """Take the venue's prices as marks of this moment."""
    for symbol, price in venue.prices.items():
        for market in Market:
            core.marks.update(Mark(symbol=symbol, market=market, bid=price, ask=price, at_s=core.clock.monotonic_s()))


def mark_of(key: str = "", *, fingerprint: str = "f", scope: str = "tester|/orders") -> IdempotencyMark:
    """Return an idempotency context; a fresh key unless one is given."""
    return IdempotencyMark(scope=scope, key=key or f"key-{next(_KEYS)}", fingerprint=fingerprint, principal="tester")


def market_order(
    quantity: str = "0.001",
    *,
    side: OrderSide = OrderSide.BUY,
    symbol: str = "BTCUSDT.BINANCE",
    market: Market = Market.SPOT,
    reduce_only: bool = False,
    strategy: str = "manual",
) -> OrderRequest:
    """Return a market order."""
    return OrderRequest(
        symbol=symbol,
        market=market,
        side=side,
        type=OrderType.MARKET,
        quantity=D(quantity),
        reduce_only=reduce_only,
        strategy=strategy,
    )


def limit_order(
    price: str,
    quantity: str = "0.001",
    *,
    side: OrderSide = OrderSide.BUY,
    symbol: str = "BTCUSDT.BINANCE",
    market: Market = Market.SPOT,
) -> OrderRequest:
    """Return a resting limit order."""
    return OrderRequest(
        symbol=symbol,
        market=market,
        side=side,
        type=OrderType.LIMIT,
        quantity=D(quantity),
        limit_price=D(price),
    )


def fake(core: EngineCore) -> FakeVenue:
    """Return the core's scripted venue."""
    venue = core.venues["BINANCE"]
    assert isinstance(venue, FakeVenue)
    return venue


def open_journal(home: Path, *, epoch: int = 1) -> SqliteJournal:
    """Open a journal on disk."""
    return open_in(EngineFiles(home), account="test", epoch=epoch).journal


def restart(core: EngineCore, journal: Journal, newest_seq: int) -> EngineCore:
    """Return a new core on the same venue, with its state rebuilt from the journal alone."""
    restored = restore(journal, newest_seq=newest_seq, snapshots=None)
    return make_core(venue=fake(core), journal=journal, state=restored.state, ready=False, cash=None)

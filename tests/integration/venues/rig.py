"""What the conformance cases need of a venue under test: an open venue, a price, orders, and its streams recorded."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
from msgspec.structs import replace

from engine_service.domain.ids import Market, local_symbol
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import multiple_down
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.venues.paper.fill_model import Level
from engine_service.venues.port import Venue
from engine_service.venues.reports import Accepted, SubmitOutcome
from tests.integration.simulated_exchange import SimulatedExchange

T = TypeVar("T")
_numbers = itertools.count(1)


class Recorder:
    """Keeps everything a stream yields, and waits for what a case expects."""

    def __init__(self, events: AsyncGenerator[Any, None]) -> None:
        self.seen: list[Any] = []
        self._task = asyncio.create_task(self._record(events))

    async def _record(self, events: AsyncGenerator[Any, None]) -> None:
        async with contextlib.aclosing(events):
            async for event in events:
                self.seen.append(event)

    async def until(self, kind: type[T], holds: Callable[[T], object] = lambda _: True, *, within_s: float = 8) -> T:
        """Return the first recorded event of a kind for which ``holds``."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for event in self.seen:
                if isinstance(event, kind) and holds(event):
                    return event
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.01)
        raise AssertionError(f"no such {kind.__name__} among {self.seen[-10:]}")

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Rig:
    """A venue under test and the exchange behind it."""

    def __init__(self, venue: Venue, exchange: SimulatedExchange, market: Market, symbol: str, home: Path) -> None:
        self.venue = venue
        self.exchange = exchange
        self.market = market
        self.symbol = symbol
        self.home = home
        self.instrument: Instrument
        self._recorders: list[Recorder] = []

    async def open(self) -> None:
        await self.venue.open()
        listed = await self.venue.instruments()
        self.instrument = next(instrument for instrument in listed if instrument.symbol == self.symbol)

    async def close(self) -> None:
        for recorder in self._recorders:
            await recorder.stop()
        await self.venue.close()

    def user_events(self) -> Recorder:
        return self._recorded(self.venue.user_events())

    def market_events(self, interval: str = "1s") -> Recorder:
        return self._recorded(self.venue.market_events(self.market, [self.symbol], interval))

    def _recorded(self, events: Any) -> Recorder:
        recorder = Recorder(events)
        self._recorders.append(recorder)
        return recorder

    # --- orders -------------------------------------------------------------------------------------------------

    @property
    def quantity(self) -> Decimal:
        """Return a size worth about 150 quote units, on the step."""
        return self.instrument.round_quantity(Decimal(150) / self.price(), market_order=True)

    def price(self, away: str = "0") -> Decimal:
        """Return the middle of the book moved ``away`` (a fraction), on the tick."""
        prefix = "/api/v3" if self.market is Market.SPOT else "/fapi/v1"
        row = self.exchange.public(f"{prefix}/ticker/bookTicker", symbol=local_symbol(self.symbol))
        middle = (Decimal(row["bidPrice"]) + Decimal(row["askPrice"])) / 2
        return multiple_down(middle * (1 + Decimal(away)), self.instrument.tick)

    def top_ask(self) -> Level:
        """Return the best ask with what is displayed there."""
        prefix = "/api/v3" if self.market is Market.SPOT else "/fapi/v1"
        row = self.exchange.public(f"{prefix}/depth", symbol=local_symbol(self.symbol), limit=5)["asks"][0]
        return Level(Decimal(row[0]), Decimal(row[1]))

    def deposit(self, amount: str) -> None:
        """Give every trading account of the exchange more of the quote asset."""
        for account in {row["account"] for row in self.exchange.ledger()["orders"]}:
            body = {"account": account, "market": self.market.value, "asset": "USDT", "amount": amount}
            httpx.post(f"{self.exchange.url}/_sim/deposit", json=body).raise_for_status()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the market of the exchange still."""
        self.exchange.market(symbol=local_symbol(self.symbol), freeze=True)
        try:
            yield
        finally:
            self.exchange.market(symbol=local_symbol(self.symbol), freeze=False)

    def jump(self, fraction: str) -> None:
        """Move the market of the exchange at once."""
        self.exchange.market(symbol=local_symbol(self.symbol), jump=fraction)

    def order(self, **changes: Any) -> Order:
        """Return a new market buy order of the usual size with an id of its own."""
        now_ms = self.venue.venue_time_ms()
        order = Order(
            client_order_id=f"{next(_numbers):08x}{time.time_ns():016x}"[:32],
            symbol=self.symbol,
            market=self.market,
            side=OrderSide.BUY,
            type=OrderType.MARKET,
            status=OrderStatus.SUBMITTED,
            quantity=changes.get("quantity") or self.quantity,
            created_at_ms=now_ms,
            sent_at_ms=now_ms,
        )
        return replace(order, **changes)

    def resting(self, **changes: Any) -> Order:
        """Return a limit buy order two per cent below the market."""
        return self.order(**{"type": OrderType.LIMIT, "limit_price": self.price("-0.02"), **changes})

    def stop(self, **changes: Any) -> Order:
        """Return a stop order that sells two per cent below the market."""
        wish = {"type": OrderType.STOP_MARKET, "side": OrderSide.SELL, "stop_price": self.price("-0.02")}
        return self.order(**{**wish, **changes})

    async def accepted(self, order: Order) -> Accepted:
        """Submit an order that must be taken."""
        outcome = await self.venue.submit(order)
        assert isinstance(outcome, Accepted), outcome
        return outcome


def placed(order: Order, outcome: SubmitOutcome) -> Order:
    """Return the order as the engine knows it after the venue took it."""
    assert isinstance(outcome, Accepted), outcome
    return replace(order, venue_order_id=outcome.venue_order_id, status=outcome.status)


async def eventually(ask: Callable[[], Any], holds: Callable[[Any], object], *, within_s: float = 8) -> Any:
    """Ask again until the answer holds."""
    deadline = time.monotonic() + within_s
    while True:
        answer = await ask()
        if holds(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"never held: {answer}")
        await asyncio.sleep(0.05)

"""Keeps the brackets that came with orders: looks at one whenever something of it happened, and at all every second.

One look at a time per bracket, and only looks: what to do is decided anew from the journal's state each time
(``execution.protect``). So a lost event costs a second, and a restart begins with a look at every bracket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from engine_service.domain import events as e
from engine_service.domain.bracket import BracketPrices
from engine_service.domain.errors import EngineError
from engine_service.domain.marks import Mark
from engine_service.execution.bracket import prices_of
from engine_service.execution.core import EngineCore
from engine_service.execution.protect import is_entry, tend
from engine_service.execution.protect_end import DOUBT
from engine_service.runtime.stop_outs import StopOuts
from engine_service.storage.port import Recorded

SWEEP_EVERY_S = 1.0

_log = structlog.get_logger(__name__)


class BracketKeeper:
    """Wakes ``tend``. The brackets are the journal's own (``state.image.brackets``), those with a mode."""

    def __init__(self, core: EngineCore, stop_outs: StopOuts) -> None:
        self._core = core
        self._stop_outs = stop_outs
        self._again: set[str] = set()
        self._not_before_s: dict[str, float] = {}
        self._told: set[str] = set()
        self.running = False

    async def run(self) -> None:
        """Look at every bracket now and every second; the job that keeps entries from being left alone."""
        self.running = True
        self._wake(self._unfinished_entries())
        while True:
            self._wake(self._armed())
            await asyncio.sleep(SWEEP_EVERY_S)

    def on_event(self, recorded: Recorded) -> None:
        """Bus handler: something happened to an entry or to one of a bracket's own orders."""
        event = recorded.event
        if isinstance(event, e.BracketClosed):
            self._closed(event)
        if not self.running or not isinstance(event, e.OrderEvent):
            return
        order = self._core.state.order(event.client_order_id)
        if order is None:
            return
        armed = self._core.state.image.brackets.get(order.why.get("bracket", ""))
        if is_entry(order):
            self._wake([order.client_order_id])
        elif armed is not None and armed.mode:
            # Those without a mode are strategies' own: two that close one bracket would close it twice.
            self._wake([armed.bracket_id])

    def on_mark(self, mark: Mark) -> None:
        """Mark listener: a level that was reached wakes its bracket, which knows whether the venue acts by itself."""
        price = mark.price if mark.is_valid and self.running else None
        if price is None:
            return
        for armed in self._core.state.image.brackets.values():
            if armed.mode and armed.symbol == mark.symbol and armed.market is mark.market:
                levels: BracketPrices = prices_of(armed)
                if levels.hit(price, armed.entry_side):
                    self._wake([armed.bracket_id])

    def _armed(self) -> list[str]:
        return [armed.bracket_id for armed in self._core.state.image.brackets.values() if armed.mode]

    def _unfinished_entries(self) -> list[str]:
        """Return filled entries of which no bracket was armed, or closed, before the engine stopped."""
        image = self._core.state.image
        closed = set(image.closed_brackets)
        return [
            order.client_order_id
            for order in image.orders.values()
            if is_entry(order) and order.client_order_id not in closed and order.client_order_id not in image.brackets
        ]

    def _wake(self, bracket_ids: Iterable[str]) -> None:
        now_s = self._core.clock.monotonic_s()
        for bracket_id in bracket_ids:
            name = f"bracket:{bracket_id}"
            if name in self._core.tasks:
                self._again.add(bracket_id)
            elif now_s >= self._not_before_s.get(bracket_id, 0.0):
                self._core.spawn(name, self._look(bracket_id))

    async def _look(self, bracket_id: str) -> None:
        """Look until there is nothing left to do right now."""
        while True:
            self._again.discard(bracket_id)
            try:
                wait_s = await tend(self._core, bracket_id, self._told)
            except EngineError as error:
                _log.warning("bracket not tended", bracket=bracket_id, code=error.code, detail=error.detail)
                wait_s = SWEEP_EVERY_S
            if wait_s is None and bracket_id not in self._again:
                return
            if wait_s is not None and wait_s > SWEEP_EVERY_S:
                self._not_before_s[bracket_id] = self._core.clock.monotonic_s() + wait_s
                return
            await self._core.sleep(max(wait_s or 0.0, 0.001))

    def _closed(self, event: e.BracketClosed) -> None:
        self._again.discard(event.bracket_id)
        self._not_before_s.pop(event.bracket_id, None)
        self._told -= {event.bracket_id, event.bracket_id + DOUBT}
        entry = self._core.state.order(event.bracket_id)
        if event.outcome == "stop_loss" and entry is not None and entry.bracket is not None:
            self._stop_outs.note(event.symbol, event.market)

"""Who asks the engine: each question once or twice, and again after a crash under the same key until it is answered."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable
from decimal import Decimal

from engine_service.domain.errors import EngineError, Unavailable
from engine_service.domain.events import IdempotencyMark
from engine_service.domain.ids import client_order_id
from engine_service.domain.order import Order
from engine_service.execution.amend import amend
from engine_service.execution.cancel import cancel, cancel_all
from engine_service.execution.core import EngineCore
from engine_service.execution.reconcile import reconcile
from engine_service.execution.submit import submit
from tests.simulation.exchange import RULES, VENUE
from tests.simulation.script import Deed, Step
from tests.simulation.witness import Witness

D = Decimal
ASKS_AGAIN_S = 1.0
SCOPE = "caller|/orders"


class Callers:
    """Everyone who talks to the engine."""

    def __init__(self, witness: Witness, note: Callable[[str], None]) -> None:
        self._witness, self._note = witness, note
        self._core: EngineCore | None = None
        self._open: list[Step] = []
        self._asked: dict[str, Step] = {}
        self._tasks: set[Task[None]] = set()

    @property
    def idle(self) -> bool:
        """True when everything asked was answered."""
        return not self._open

    def connect(self, core: EngineCore) -> None:
        """Talk to this life of the engine; what was not answered before is asked again."""
        self._core = core
        for step in list(self._open):
            self._start(step)

    def disconnect(self) -> None:
        """The engine died: nobody hears anything any more."""
        self._core = None
        self._tasks.clear()

    def ask(self, step: Step) -> None:
        """Ask now, or as soon as there is an engine to ask."""
        if step.deed is Deed.ORDER:
            self._asked[step.key] = step
        self._open.append(step)
        if self._core is not None:
            self._start(step)

    def _start(self, step: Step) -> None:
        core = self._core
        if core is not None:
            task = asyncio.ensure_future(self._until_answered(core, step))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _until_answered(self, core: EngineCore, step: Step) -> None:
        while self._core is core:
            try:
                await self._put(core, step)
            except Unavailable as error:
                self._note(f"{step.deed} {step.key}: {error.code}")
            except EngineError as error:
                self._note(f"{step.deed} {step.key}: {error.code}")
                if error.code != "IDEMPOTENCY_IN_PROGRESS":
                    self._answered(core, step)
                    return
            else:
                self._answered(core, step)
                return
            await asyncio.sleep(ASKS_AGAIN_S)

    def _answered(self, core: EngineCore, step: Step) -> None:
        if self._core is core:
            self._open.remove(step)

    async def _put(self, core: EngineCore, step: Step) -> None:
        match step.deed:
            case Deed.ORDER | Deed.AGAIN:
                await self._submit(core, self._asked[step.key])
            case Deed.CANCEL:
                result = await cancel(core, self._id(core, step.key), principal="caller")
                self._note(f"cancel {step.key}: {result.status} {result.order.status}")
            case Deed.AMEND:
                await self._amend(core, step)
            case Deed.CANCEL_ALL:
                await cancel_all(core, principal="caller")
            case _:
                await reconcile(core)

    async def _submit(self, core: EngineCore, step: Step) -> None:
        if step.request is None:
            return
        mark = IdempotencyMark(scope=SCOPE, key=step.key, fingerprint=step.key, principal="caller")
        result = await submit(core, step.request, mark)
        if self._core is core:
            self._note(f"{step.key} = {result.order.client_order_id}: {result.status} {result.order.status}")
            self._witness.on_answer(step.key, result.order.client_order_id)

    async def _amend(self, core: EngineCore, step: Step) -> None:
        cid = self._id(core, step.key)
        order = core.state.order(cid)
        price, quantity = _changes(order, step.share)
        mark = IdempotencyMark(
            scope=f"{SCOPE}/{cid}", key=f"{step.key}-{step.at_s}", fingerprint="", principal="caller"
        )
        result = await amend(core, cid, limit_price=price, quantity=quantity, principal="caller", mark=mark)
        self._note(f"amend {step.key}: {result.status} {result.order.status}")

    def _id(self, core: EngineCore, key: str) -> str:
        request = self._asked[key].request
        if request is None:
            return ""
        return client_order_id(
            core.instance_key,
            account=core.account,
            venue=VENUE,
            market=request.market,
            scope=SCOPE,
            key=key,
            leg=request.leg,
        )


def _changes(order: Order | None, share: float) -> tuple[Decimal | None, Decimal | None]:
    """Return another price, another size, or both."""
    if order is None or order.quantity is None or order.limit_price is None:
        return D(1), None
    step = RULES[(order.symbol, order.market)].step
    more = order.quantity + step * 10 if share < 0.7 else max(step, order.quantity - step * 10)
    price = order.limit_price - D("0.5") if share < 0.4 or share > 0.85 else None
    return price, None if share < 0.25 else more

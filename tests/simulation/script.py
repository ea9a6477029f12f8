"""What happens in a schedule, drawn from its seed: who asks for what, what the market does, when it crashes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from random import Random

from engine_service.domain.ids import Market
from engine_service.domain.money import ZERO
from engine_service.domain.order import OrderRequest
from engine_service.domain.order_status import OrderSide, OrderType
from tests.simulation.exchange import FUTURES, SPOT
from tests.simulation.weather import Weather, drawn

D = Decimal


class Deed(StrEnum):
    """One kind of thing that happens."""

    ORDER = "order"
    AGAIN = "again"
    CANCEL = "cancel"
    AMEND = "amend"
    CANCEL_ALL = "cancel_all"
    RECONCILE = "reconcile"
    TRADE = "trade"
    VENUE_ENDS = "venue_ends"
    DEPOSIT = "deposit"
    FUNDING = "funding"
    STRANGER = "stranger"
    CRASH = "crash"
    CLOCK_STEP = "clock_step"


#: What a caller asks for, against what happens to the engine whether it likes it or not.
ASKED = frozenset({Deed.ORDER, Deed.AGAIN, Deed.CANCEL, Deed.AMEND, Deed.CANCEL_ALL, Deed.RECONCILE})
_WEIGHTS = {
    Deed.ORDER: 30,
    Deed.AGAIN: 6,
    Deed.CANCEL: 14,
    Deed.AMEND: 8,
    Deed.CANCEL_ALL: 2,
    Deed.RECONCILE: 3,
    Deed.TRADE: 24,
    Deed.VENUE_ENDS: 4,
    Deed.DEPOSIT: 1,
    Deed.FUNDING: 1,
    Deed.CRASH: 8,
    Deed.CLOCK_STEP: 2,
}


_RACED = frozenset({Deed.ORDER, Deed.CANCEL, Deed.AMEND})
_RACE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One deed at ``at_s``. ``key`` is whose order it is about; ``share`` a fraction of it or of the choice at hand.

    ``amount`` is quote for money, seconds for a crash's length, milliseconds for a step of the wall clock.
    """

    at_s: float
    deed: Deed
    key: str = ""
    share: float = 0.0
    amount: Decimal = ZERO
    request: OrderRequest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A whole schedule."""

    weather: Weather
    fee_asset: str
    steps: tuple[Step, ...]

    @property
    def ends_s(self) -> float:
        """Return when the last deed is done."""
        return self.steps[-1].at_s + 1.0

    @property
    def lawful(self) -> bool:
        """True where the venue keeps its word about time and nobody else trades on the account."""
        return self.weather.outlaw == 0 and all(step.deed is not Deed.STRANGER for step in self.steps)


def write(chance: Random) -> Script:
    """Draw a schedule."""
    weather = drawn(chance)
    span_s = chance.choice((0.5, 5.0, 30.0, 90.0))
    times = sorted(chance.uniform(0.0, span_s) for _ in range(chance.randint(3, 12)))
    deeds = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=len(times))
    deeds[0] = Deed.ORDER
    steps: list[Step] = []
    keys: list[str] = []
    for at_s, deed in zip(times, deeds, strict=True):
        steps.append(_step(chance, at_s, deed, keys))
        if deed in _RACED and chance.random() < _RACE:
            # The market moves while the request is on its way.
            steps.append(Step(at_s=at_s + chance.uniform(0.0, 0.1), deed=Deed.TRADE, share=chance.random()))
    steps.sort(key=lambda step: step.at_s)
    if chance.random() < 0.02:
        steps.append(Step(at_s=span_s, deed=Deed.STRANGER, share=chance.random()))
    return Script(weather=weather, fee_asset=chance.choice(("quote", "quote", "base", "coin")), steps=tuple(steps))


def _step(chance: Random, at_s: float, deed: Deed, keys: list[str]) -> Step:
    match deed:
        case Deed.ORDER:
            keys.append(f"key-{len(keys)}")
            return Step(at_s=at_s, deed=deed, key=keys[-1], request=_order(chance))
        case Deed.CRASH:
            # Most crashes come in the middle of what was begun just before.
            soon = at_s if chance.random() < 0.4 else at_s + chance.uniform(0.0, 0.05)
            return Step(at_s=soon, deed=deed, amount=D(chance.choice((0, 1, 5, 25))))
        case Deed.CLOCK_STEP:
            return Step(at_s=at_s, deed=deed, amount=D(chance.choice((-3_600_000, -500, 500, 60_000, 3_600_000))))
        case Deed.DEPOSIT | Deed.FUNDING:
            return Step(at_s=at_s, deed=deed, amount=D(chance.randint(-500, 500)) / 100 or D(1))
        case _:
            return Step(at_s=at_s, deed=deed, key=chance.choice(keys), share=chance.random())


def _order(chance: Random) -> OrderRequest:
    market = chance.choice((Market.SPOT, Market.FUTURES))
    symbol, size, price = (SPOT, D("0.001"), D(50_000)) if market is Market.SPOT else (FUTURES, D("0.1"), D(2_500))
    limit = chance.random() < 0.6
    side = OrderSide.BUY if market is Market.SPOT and chance.random() < 0.8 else chance.choice(list(OrderSide))
    away = D(chance.randint(1, 5)) / 1_000 * (-1 if side is OrderSide.BUY else 1)
    return OrderRequest(
        symbol=symbol,
        market=market,
        side=side,
        type=OrderType.LIMIT if limit else OrderType.MARKET,
        quantity=size * chance.randint(1, 8),
        limit_price=price * (1 + away) if limit else None,
        strategy=chance.choice(("manual", "ma_cross")),
    )

"""A live day beside its backtest: every decision of either, and why only one of the two traded. No Dagster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from assets.live_day import EARLIER, Key, LiveDay, LiveOrder
from assets.parity_backtest import Ideal
from strategies.contracts import Bar
from strategies.research.parity import NOTHING, Cause, Decision

ZERO = Decimal(0)
PRICE_STEP = Decimal("1e-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSymbol:
    """One symbol's bars of the day and what the backtest made of them, by strategy."""

    bars: Sequence[Bar]
    ideals: Mapping[str, Ideal]

    @property
    def end(self) -> Decimal:
        """Return the price at the end, at which both are valued."""
        return exact(self.bars[-1].close)

    @property
    def end_ms(self) -> int:
        """Return when the last of them closed."""
        return self.bars[-1].close_at_ms


def exact(price: float) -> Decimal:
    """Return a price as venues write it: eight decimals, without the digits that binary adds."""
    return Decimal(repr(float(price))).quantize(PRICE_STEP)


def decisions_of(day: LiveDay, symbols: Mapping[str, ComparedSymbol], pause_ms: int) -> list[Decision]:
    """Return every decision of the strategies that traded live, in the backtest or in both.

    Args:
        day: what the journal says; orders of symbols that are not compared are left out.
        pause_ms: silence of the journal that counts as an engine that was down.
    """
    found: list[Decision] = []
    decided: dict[Key, LiveOrder] = {}
    for order in day.orders.values():
        compared = symbols.get(order.symbol)
        if compared is None or order.strategy not in compared.ideals:
            continue
        key = order.key
        if key is not None and key not in decided:
            decided[key] = order
        elif order.filled.quantity and order.at_ms < compared.end_ms:
            found.append(_undecided(order))
    for symbol, compared in symbols.items():
        closes = {bar.open_at_ms: bar for bar in compared.bars}
        for strategy, ideal in compared.ideals.items():
            live = {key[2] for key in decided if key[:2] == (strategy, symbol) and key[2] in closes}
            for open_ms in sorted(ideal.wished | live):
                key = (strategy, symbol, open_ms)
                decision = _decided(key, closes[open_ms], decided.get(key), ideal, day, pause_ms)
                if decision.live.quantity or decision.ideal.quantity:
                    found.append(decision)
    return found


def _undecided(order: LiveOrder) -> Decision:
    """An order that no signal of the strategy asked for."""
    cause, detail = Cause.PROTECTION, order.leg
    if order.leg == EARLIER:
        cause, detail = Cause.POSITION, "ordered before this day"
    elif order.external:
        cause, detail = Cause.DATA, "a wish from outside"
    return Decision(
        strategy=order.strategy,
        symbol=order.symbol,
        bar_open_ms=0,
        close=ZERO,
        live=order.filled,
        order_id=order.order_id,
        alone=cause,
        detail=detail,
    )


def _decided(key: Key, bar: Bar, order: LiveOrder | None, ideal: Ideal, day: LiveDay, pause_ms: int) -> Decision:
    open_ms = key[2]
    live = order.filled if order is not None else NOTHING
    if live.quantity:
        wished = open_ms in ideal.wished
        alone = Cause.POSITION if wished else Cause.DATA
        detail = "the backtest held something else" if wished else "the backtest has no such signal"
    else:
        alone, detail = _why_not_traded(key, bar, order, day, pause_ms)
    return Decision(
        strategy=key[0],
        symbol=key[1],
        bar_open_ms=open_ms,
        close=exact(bar.close),
        live=live,
        ideal=ideal.filled.get(open_ms, NOTHING),
        mark=order.mark if order is not None else None,
        order_id=order.order_id if order is not None else "",
        alone=alone,
        detail=detail,
    )


def _why_not_traded(key: Key, bar: Bar, order: LiveOrder | None, day: LiveDay, pause_ms: int) -> tuple[Cause, str]:
    if order is not None and order.refused:
        return Cause.RAIL, order.refused
    if order is not None:
        return Cause.MISSED, "the order was not filled"
    if key in day.kept_back:
        return Cause.MISSED, day.kept_back[key]
    if key in day.signals:
        return Cause.MISSED, "no order followed the signal"
    if not day.was_up(bar.close_at_ms, pause_ms):
        return Cause.MISSED, "the engine did not run"
    return Cause.DATA, "live had no such signal"

"""The backtest of a live day: the engine's strategies shown the same bars, and their wishes traded by its own code."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from engine_service.backtest.event_path import Wish, trade_wishes
from engine_service.backtest.options import BacktestOptions
from engine_service.backtest.series import series_of
from strategies.contracts import Bar, Signal
from strategies.ensemble import STRATEGY_ID as ENSEMBLE
from strategies.ensemble import Ensemble, EnsembleOptions
from strategies.ma_cross import STRATEGY_ID as CROSS
from strategies.ma_cross import MovingAverageCross
from strategies.regime_policy import STRATEGY_ID as REGIME
from strategies.regime_policy import PolicyOptions, RegimePolicy
from strategies.regimes.model import RegimeModel
from strategies.research.parity import Filled
from strategies.sizing import RISK_BARS, size_share

#: As many past bars as the engine keeps to warm its strategies with.
WARM_BARS = 600
#: The engine leaves out orders that are hardly larger than the venue's least.
MINIMUM_MARGIN = Decimal("1.1")
PLENTY = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyView:
    """A strategy as the engine runs it: ``parameters`` are those of ``config/strategies.yaml``."""

    name: str
    weight: float
    parameters: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the backtest assumes of every fill, in basis points: the fee, and half a spread around the close."""

    fee_bps: Decimal
    half_spread_bps: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """An instrument's increments and least order value, in base and quote units; ``quote`` is the currency."""

    quote: str
    tick: Decimal
    step: Decimal
    min_notional: Decimal


@dataclass(slots=True, kw_only=True)
class Ideal:
    """What a strategy's backtest did in one symbol: ``wished`` are the opens (ms) of the bars after which it wanted a
    change, ``filled`` what came of it, by the same key."""

    wished: set[int] = field(default_factory=set)
    filled: dict[int, Filled] = field(default_factory=dict)


def ideal_day(
    bars: Sequence[Bar],
    first: int,
    strategies: Sequence[StrategyView],
    models: Sequence[tuple[int, str, RegimeModel]],
    rules: Rules,
    costs: Costs,
    market: str,
) -> dict[str, Ideal]:
    """Return, by strategy, what a backtest that starts flat makes of one symbol's bars.

    Args:
        bars: closed bars of the symbol, oldest first; those before ``first`` only warm the strategies.
        models: (in force from, version, model), oldest first.

    Raises:
        BadBars: the bars cannot be traded.
    """
    wishes = _wishes(bars, first, strategies, models)
    judged = bars[first:]
    found: dict[str, Ideal] = {}
    for strategy in strategies:
        own = wishes[strategy.name]
        ideal = found[strategy.name] = Ideal(wished={judged[wish.bar].open_at_ms for wish in own})
        if own:
            ideal.filled = _traded(judged, own, _options(strategy, judged[0].symbol, rules, costs, market))
    return found


def _options(strategy: StrategyView, symbol: str, rules: Rules, costs: Costs, market: str) -> BacktestOptions:
    least = str(rules.min_notional * MINIMUM_MARGIN)
    return BacktestOptions(
        market="futures" if market == "futures" else "spot",
        balances={rules.quote: PLENTY},
        reporting=rules.quote,
        notional=Decimal(str(strategy.parameters["order_notional"])),
        fee_bps=costs.fee_bps,
        half_spread_bps=costs.half_spread_bps,
        fill_at="close",
        ticks={symbol: rules.tick},
        steps={symbol: rules.step},
        limits={"min_notional_spot": least, "min_notional_futures": least},
    )


def _traded(bars: Sequence[Bar], wishes: Sequence[Wish], options: BacktestOptions) -> dict[int, Filled]:
    symbol = bars[0].symbol
    result = trade_wishes(series_of(bars), {symbol: wishes}, options)
    opened = {bar.close_at_ms: bar.open_at_ms for bar in bars}
    filled: dict[int, Filled] = {}
    for row in result.fill_rows():
        signed = row.quantity if row.side == "BUY" else -row.quantity
        before = filled.get(opened[row.at_ms], Filled(quantity=Decimal(0), value=Decimal(0), fee=Decimal(0)))
        filled[opened[row.at_ms]] = Filled(
            quantity=before.quantity + signed, value=before.value + signed * row.price, fee=before.fee + row.fee
        )
    return filled


def _wishes(
    bars: Sequence[Bar],
    first: int,
    strategies: Sequence[StrategyView],
    models: Sequence[tuple[int, str, RegimeModel]],
) -> dict[str, list[Wish]]:
    """Return what each strategy wants, sized as the engine sizes: bars are numbered from ``first``."""
    desk = _Desk({strategy.name: strategy for strategy in strategies}, models)
    for bar in bars[:first]:
        desk.warm(bar)
    wishes: dict[str, list[Wish]] = {strategy.name: [] for strategy in strategies}
    for at in range(first, len(bars)):
        past = bars[max(0, at + 1 - RISK_BARS) : at + 1]
        for signal in desk.on_bar(bars[at], bars[max(0, at - WARM_BARS) : at]):
            share = round(size_share([bar.close for bar in past]), 4)
            wishes[signal.strategy].append(Wish(at - first, signal.target * share, signal.strategy))
    return wishes


class _Desk:
    """The strategies of one symbol, asked in the engine's order: crossover, regimes, then both combined."""

    def __init__(self, strategies: Mapping[str, StrategyView], models: Sequence[tuple[int, str, RegimeModel]]) -> None:
        self._strategies = strategies
        self._models = list(models)
        self._policy: RegimePolicy | None = None
        crossover = strategies[CROSS].parameters if CROSS in strategies else {}
        self._cross = MovingAverageCross(int(crossover.get("fast", 9)), int(crossover.get("slow", 21)))
        combined = strategies.get(ENSEMBLE)
        self._ensemble = Ensemble(
            {name: strategy.weight for name, strategy in strategies.items()},
            EnsembleOptions(gate=float(combined.parameters["gate"])) if combined else EnsembleOptions(),
        )

    def warm(self, bar: Bar) -> None:
        """Show a past bar; nothing is wanted after it."""
        self._cross.on_bar(bar)

    def on_bar(self, bar: Bar, past: Sequence[Bar]) -> Iterator[Signal]:
        """Yield what is wanted after a bar; ``past`` warms a model that has come into force since the last one."""
        self._swap(bar, past)
        members = [self._cross.on_bar(bar), self._policy.on_bar(bar) if self._policy else None]
        spoken = [signal for signal in members if signal is not None and signal.strategy in self._strategies]
        yield from spoken
        if ENSEMBLE in self._strategies:
            combined = [self._ensemble.on_signal(signal) for signal in spoken]
            yield from (signal for signal in combined if signal is not None)

    def _swap(self, bar: Bar, past: Sequence[Bar]) -> None:
        if REGIME not in self._strategies:
            return
        while self._models and self._models[0][0] < bar.close_at_ms:
            _, version, model = self._models.pop(0)
            self._policy = RegimePolicy(model, version, self._policy_options())
            self._policy.warm(past)

    def _policy_options(self) -> PolicyOptions:
        parameters = self._strategies[REGIME].parameters
        return PolicyOptions(
            round_trip_cost_bps=float(parameters["round_trip_cost_bps"]),
            confidence_gate=float(parameters["confidence_gate"]),
            cooldown_s=float(parameters["cooldown_s"]),
        )

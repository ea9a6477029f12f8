"""What the assets need of the outside world, as small protocols: tests and other venues bring their own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

BarRow = tuple[int, float, float, float, float, float, float, int]


class Compute(Protocol):
    """Runs one function over many items, here or elsewhere; results come in the order of the items."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return the function's result for every item; the function must be importable by name."""


class Clock(Protocol):
    """Wall time."""

    def now_ms(self) -> int:
        """Return UTC epoch milliseconds."""


class InstrumentLike(Protocol):
    """The part of an instrument's rules that the universe looks at."""

    @property
    def symbol(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def quote(self) -> str: ...
    @property
    def trading(self) -> bool: ...


class TickerLike(Protocol):
    """Rolling 24 h figures; ``quote_volume`` in quote units."""

    @property
    def symbol(self) -> str: ...
    @property
    def last_price(self) -> Decimal: ...
    @property
    def quote_volume(self) -> Decimal: ...


class BookTopLike(Protocol):
    """Best bid and ask, prices in quote and quantities in base units."""

    @property
    def symbol(self) -> str: ...
    @property
    def bid(self) -> Decimal: ...
    @property
    def bid_quantity(self) -> Decimal: ...
    @property
    def ask(self) -> Decimal: ...
    @property
    def ask_quantity(self) -> Decimal: ...


class BarSource(Protocol):
    """Where bars come from."""

    def bars(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[BarRow]:
        """Return the closed bars with ``start_ms <= open time < end_ms``, oldest first.

        A row is (open_ms, open, high, low, close, volume, quote_volume, trades).
        """


class MarketData(BarSource, Protocol):
    """Public data of one market."""

    def instruments(self) -> Sequence[InstrumentLike]:
        """Return every instrument's trading rules."""

    def tickers_24h(self) -> Sequence[TickerLike]:
        """Return every instrument's 24 h figures."""


class League(Protocol):
    """The engine's shadow league."""

    def get_league(self) -> dict[str, Any]:
        """Return ``champion``, ``policy``, ``cost_bps``, ``rank`` and ``standings`` by symbol."""


class Engine(Protocol):
    """The engine's REST API, as far as research uses it. Amounts are decimal text."""

    def get_portfolio(self) -> dict[str, Any]:
        """Return cash, equity and positions."""

    def get_strategies(self) -> list[dict[str, Any]]:
        """Return every strategy with its budget."""

    def get_strategy(self, strategy: str) -> dict[str, Any]:
        """Return one strategy."""

    def put_strategy(self, strategy: str, **changes: Any) -> dict[str, Any]:
        """Change a strategy: ``model``, ``budget``, ``weight``, ``enabled``."""

    def get_fills(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the fills booked after a journal sequence, oldest first."""

    def reconcile(self) -> dict[str, Any]:
        """Compare the engine with its venues: ``breaks`` still differ, ``venues`` tell who could be asked."""

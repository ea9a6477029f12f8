"""An exchange on a clock that the test moves, and the tickets that tests send."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from engine_service.domain.clock import ManualClock
from engine_service.exchange_sim.bootstrap import build_exchange
from engine_service.exchange_sim.config import ExchangeConfig
from engine_service.exchange_sim.enums import KeyKind, Market, OrderType, Permission, Side, TimeInForce
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.events import AccountEvent, MarketEvent, OrderEvent
from engine_service.exchange_sim.exchange import Exchange
from engine_service.exchange_sim.model import AccountSpec, ApiKey, NewOrder

NOW_MS = 1_790_000_000_000
ALICE, BOB = "alice", "bob"
BALANCES = (("USDT", Decimal(1_000_000)), ("BTC", Decimal(20)), ("ETH", Decimal(500)), ("BNB", Decimal(20)))


def account(name: str, *, fees_in_bnb: bool = False) -> AccountSpec:
    """An account with one HMAC key of every permission."""
    key = ApiKey(f"{name}-key", KeyKind.HMAC, f"{name}-secret", frozenset(Permission))
    return AccountSpec(name, (key,), BALANCES, fees_in_bnb)


class Floor:
    """The exchange under test, its clock and everything it has reported."""

    def __init__(self, *accounts: AccountSpec, seed: int = 7, history_s: int = 300, **settings: Any) -> None:
        self.clock = ManualClock(NOW_MS)
        config = ExchangeConfig(
            accounts or (account(ALICE), account(BOB)),
            seed=seed,
            history_s=history_s,
            **settings,
        )
        self.exchange: Exchange = build_exchange(config, self.clock)
        self.events: list[MarketEvent | AccountEvent] = []
        self.exchange.subscribe(self.events.append)

    def freeze(self) -> None:
        """Stop all prices, so that only accounts move the book."""
        self.exchange.market.is_frozen = True

    def run(self, milliseconds: int) -> None:
        """Let the market run in steps of a tick."""
        end = self.clock.now_ms() + milliseconds
        while self.clock.now_ms() < end:
            self.clock.advance(min(200, end - self.clock.now_ms()))
            self.exchange.advance_to(self.clock.now_ms())

    def best(self, side: Side, symbol: str = "BTCUSDT", market: Market = Market.SPOT) -> Decimal:
        """Best price of a side of the book."""
        top = self.exchange.market_data.book_top(market, symbol)
        return top.bid_price if side is Side.BUY else top.ask_price

    def free(self, name: str, asset: str) -> Decimal:
        return self.exchange.spot.balance(name, asset).free

    def locked(self, name: str, asset: str) -> Decimal:
        return self.exchange.spot.balance(name, asset).locked

    def reports(self, order_id: int) -> list[OrderEvent]:
        """Reports of one order, in order."""
        return [e for e in self.events if isinstance(e, OrderEvent) and e.order.order_id == order_id]

    def quote_assets(self) -> dict[str, str]:
        return {spec.symbol: spec.quote_asset for spec in self.exchange.market_data.specs(Market.FUTURES)}

    def assert_conserved(self) -> None:
        """Money neither came from nowhere nor went there, to the last digit."""
        books = {**{f"spot {a}": v for a, v in self.exchange.spot.conservation().items()}}
        futures = self.exchange.futures_ledger
        books |= {f"futures {a}": v for a, v in futures.conservation(self.quote_assets()).items()}
        books |= {f"open interest {a}": v for a, v in futures.open_interest_balance().items()}
        assert {name: rest for name, rest in books.items() if rest} == {}


def market_order(
    side: Side, quantity: str, symbol: str = "BTCUSDT", *, market: Market = Market.SPOT, **fields: Any
) -> NewOrder:
    """A MARKET ticket; `fields` are further fields of it."""
    return NewOrder(market, symbol, side, OrderType.MARKET, Decimal(quantity), **fields)


def limit_order(
    side: Side,
    quantity: str,
    price: Decimal | str,
    symbol: str = "BTCUSDT",
    *,
    market: Market = Market.SPOT,
    **fields: Any,
) -> NewOrder:
    """A LIMIT ticket, good till cancelled unless `fields` say otherwise."""
    given: dict[str, Any] = {"type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, **fields}
    return NewOrder(market, symbol, side, quantity=Decimal(quantity), price=Decimal(price), **given)


def refusal(call: Callable[[], object]) -> tuple[int, str]:
    """Code and message with which a call is refused."""
    try:
        call()
    except ExchangeError as error:
        return error.code, error.message
    raise AssertionError("it was not refused")

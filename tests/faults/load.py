"""Callers that place and cancel orders over HTTP, and remember every word of every answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx

from engine_service.domain.ids import Market
from tests.faults.engine_process import SYMBOLS, Engine

MARKET, LIMIT = "/orders/market", "/orders/limit"
AT_ONCE = 48
#: How long callers wait after they were told, or felt, that the engine is away.
AWAY_S = 0.1
#: Quote; the smallest order of BTC on USD-M is worth a hundred.
NOTIONAL = {Market.SPOT: (20.0, 200.0), Market.FUTURES: (120.0, 900.0)}
#: The engine's words for: not now, ask again.
AWAY = frozenset({"NOT_READY", "ENGINE_NOT_READY", "VENUE_NOT_READY", "SHUTTING_DOWN"})
SIDES = ("BUY", "SELL")
_DECIMALS = {
    Market.SPOT: {"BTCUSDT": 5, "ETHUSDT": 4, "BNBUSDT": 3},
    Market.FUTURES: {"BTCUSDT": 3, "ETHUSDT": 3, "BNBUSDT": 2},
}
_PRICE_DECIMALS = {
    Market.SPOT: {"BTCUSDT": 2, "ETHUSDT": 2, "BNBUSDT": 2},
    Market.FUTURES: {"BTCUSDT": 1, "ETHUSDT": 2, "BNBUSDT": 2},
}
#: The one symbol with resting orders. It is traded on one side only: the rails refuse an order against our own.
RESTING_SYMBOL = "BNBUSDT"


@dataclass(frozen=True)
class Answer:
    """What the engine said to a request."""

    status: int
    body: Mapping[str, Any]
    retry_after: str = ""

    @property
    def code(self) -> str:
        return str(self.body.get("code", self.status))

    @property
    def client_order_id(self) -> str:
        """The order that the answer names, empty where it names none."""
        if "order" in self.body:
            return str(self.body["order"]["client_order_id"])
        return str(self.body.get("instance", "")).removeprefix("/orders/")


@dataclass
class Intent:
    """One order that a caller wants, under one idempotency key; the key is also the order's tag."""

    key: str
    path: str
    body: dict[str, str]
    answers: list[Answer] = field(default_factory=list)

    @property
    def unanswered(self) -> bool:
        """True while no answer has named an order: the caller does not know and may ask again."""
        return not any(answer.client_order_id for answer in self.answers)


@dataclass
class Load:
    """Random orders at a mean of ``per_s`` a second. Seeded: the same intents in the same order."""

    engine: Engine
    seed: int
    per_s: float
    prices: dict[str, float]
    intents: list[Intent] = field(default_factory=list)
    cancels: list[tuple[str, Answer]] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    resting: list[str] = field(default_factory=list)
    away: bool = False
    connections: int = 56
    market: Market = Market.SPOT

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._resting_side = self._chance.choice(SIDES)
        self._http = self._client()

    def _client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=self.connections)
        return httpx.AsyncClient(timeout=8, trust_env=False, limits=limits)

    async def run(self) -> None:
        """Act for ever, also while the engine is down; cancel the task to stop. What is asked is seen through."""
        async with asyncio.TaskGroup() as asking:
            slots = asyncio.Semaphore(AT_ONCE)
            stopped = False
            while not stopped:
                try:
                    await asyncio.sleep(AWAY_S if self.away else self._chance.expovariate(self.per_s))
                    await slots.acquire()
                except asyncio.CancelledError:
                    stopped = True
                else:
                    asking.create_task(self._act()).add_done_callback(lambda _: slots.release())

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def reconnect(self) -> None:
        """Begin with new connections: a request that was cut off can keep its place in the client's pool for ever."""
        await self._http.aclose()
        self._http = self._client()

    async def ask(self, intent: Intent) -> Answer | None:
        """Send an intent (again) under its key; ``None`` where no answer came."""
        headers = {"Idempotency-Key": intent.key, "Authorization": f"Bearer {self.engine.token('trade')}"}
        answer = await self._send("POST", intent.path, headers, json=intent.body)
        if answer is not None:
            intent.answers.append(answer)
            self._learn(answer)
        return answer

    async def _act(self) -> None:
        what = self._chance.random()
        waiting = [intent for intent in self.intents[-400:] if intent.unanswered]
        if what < 0.12 and self.resting:
            await self.cancel(self.resting.pop(self._chance.randrange(len(self.resting))))
        elif what < 0.22 and waiting:
            await self.ask(self._chance.choice(waiting))
        else:
            intent = self.new_intent()
            self.intents.append(intent)
            copies = 2 if self._chance.random() < 0.06 else 1  # a nervous caller asks twice at once
            await asyncio.gather(*(self.ask(intent) for _ in range(copies)))

    async def cancel(self, client_order_id: str) -> None:
        """Cancel an order and remember the answer."""
        headers = {"Authorization": f"Bearer {self.engine.token('trade')}"}
        answer = await self._send("DELETE", f"/orders/{client_order_id}", headers)
        if answer is not None:
            self.cancels.append((client_order_id, answer))

    async def _send(self, method: str, path: str, headers: dict[str, str], **options: Any) -> Answer | None:
        try:
            response = await self._http.request(method, self.engine.url + path, headers=headers, **options)
            answer = Answer(response.status_code, response.json(), response.headers.get("retry-after", ""))
        except (httpx.HTTPError, ValueError) as error:
            self.broken[type(error).__name__] += 1
            self.away = isinstance(error, httpx.ConnectError)
            return None
        self.away = answer.code in AWAY
        return answer

    def _learn(self, answer: Answer) -> None:
        order = answer.body.get("order")
        if order is None:
            return
        if order["average_price"] is not None:
            self.prices[order["symbol"].partition(".")[0]] = float(order["average_price"])
        if order["status"] in {"ACCEPTED", "PARTIALLY_FILLED"}:
            self.resting.append(order["client_order_id"])

    def new_intent(self) -> Intent:
        """Think of the next order; it is not asked for and not remembered yet."""
        chance = self._chance
        kind, symbol = chance.random(), chance.choice(SYMBOLS)
        rests = kind >= 0.8
        symbol = RESTING_SYMBOL if rests else symbol
        side = self._resting_side if symbol == RESTING_SYMBOL else chance.choice(SIDES)
        price, notional = self.prices[symbol], chance.uniform(*NOTIONAL[self.market])
        key = f"{self.seed}-{len(self.intents):06d}-{chance.getrandbits(32):08x}"
        body = {"symbol": f"{symbol}.BINANCE", "side": side, "tag": key}
        if kind < 0.12 and self.market is Market.SPOT:
            return Intent(key, MARKET, body | {"quote": _text(notional, 2)})
        body["quantity"] = _text(notional / price, _DECIMALS[self.market][symbol])
        if kind < 0.6:
            return Intent(key, MARKET, body)
        # Crosses the book, or rests near enough to be filled while the engine is down.
        distance = -chance.uniform(0.0002, 0.01) if rests else 0.004
        limit_price = price * (1 + distance * (1 if side == "BUY" else -1))
        price_text = _text(limit_price, _PRICE_DECIMALS[self.market][symbol])
        time_in_force = "GTC" if rests else chance.choice(("GTC", "IOC", "FOK"))
        return Intent(key, LIMIT, body | {"price": price_text, "time_in_force": time_in_force})


def _text(number: float, decimals: int) -> str:
    return format(Decimal(number).quantize(Decimal(1).scaleb(-decimals)), "f")

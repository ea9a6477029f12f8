"""One exchange, one engine on it, both real processes: where every row that needs sockets plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from engine_service.domain.ids import Market
from tests.faults.engine_process import ENGINE, SYMBOLS, WIDE_LIMITS, Engine
from tests.faults.load import Load
from tests.faults.proxy import Proxy, proxied
from tests.integration.simulated_exchange import SimulatedExchange

BALANCES = {
    Market.SPOT: ("USDT=10000000", "BTC=100", "ETH=1000", "BNB=10000"),
    Market.FUTURES: ("USDT=10000000",),
}
#: An engine's start takes a larger part of a minute's weight on USD-M, and kills follow each other in seconds.
LIMITS = {Market.SPOT: (), Market.FUTURES: ("--limit-factor", "4")}
VENUES = {Market.SPOT: "binance", Market.FUTURES: "binance-futures"}
TICKERS = {Market.SPOT: "/api/v3/ticker/price", Market.FUTURES: "/fapi/v1/ticker/price"}


@dataclass(frozen=True, slots=True)
class Stage:
    """What plays: the exchange is the judge's witness, the load remembers every answer."""

    exchange: SimulatedExchange
    engine: Engine
    load: Load
    proxy: Proxy


@asynccontextmanager
async def stage(
    folder: Path,
    seed: int,
    *,
    market: Market = Market.SPOT,
    per_s: float = 40.0,
    connections: int = 56,
    launcher: tuple[str, ...] = (),
    behind_proxy: bool = False,
) -> AsyncIterator[Stage]:
    """Start an exchange and an engine with wide limits; end both.

    ``launcher`` takes the place of the engine's own module. ``behind_proxy``: the engine reaches the exchange through
    the stage's proxy, which passes everything on until it is told otherwise.

    Raises:
        EngineFailed: the engine did not become ready.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    exchange = await asyncio.to_thread(start_exchange, folder / "exchange.log", seed, market)
    async with proxied(int(exchange.url.rpartition(":")[2])) as proxy:
        url = f"http://127.0.0.1:{proxy.port}" if behind_proxy else exchange.url
        engine = Engine(folder / "home", url, folder / "engine.log", launcher=launcher or ENGINE, venue=VENUES[market])
        try:
            await engine.start()
            await engine.call("PUT", "/risk/config", json={**WIDE_LIMITS, "reason": "load"})
            known = await asyncio.to_thread(prices, exchange, market)
            load = Load(engine, seed, per_s, known, connections=connections, market=market)
            try:
                yield Stage(exchange, engine, load, proxy)
            finally:
                await load.close()
        finally:
            if engine.process is not None:
                await engine.kill()
            await asyncio.to_thread(exchange.stop)


def start_exchange(log: Path, seed: int, market: Market = Market.SPOT) -> SimulatedExchange:
    """Start an exchange with money enough for any load."""
    balances = [word for balance in BALANCES[market] for word in ("--balance", balance)]
    listing = ("--symbols", ",".join(SYMBOLS), "--history", "2m")
    return SimulatedExchange.start("--seed", str(seed), *listing, *LIMITS[market], *balances, log=log)


def prices(exchange: SimulatedExchange, market: Market = Market.SPOT) -> dict[str, float]:
    """Return the exchange's last price of each symbol."""
    return {symbol: float(exchange.public(TICKERS[market], symbol=symbol)["price"]) for symbol in SYMBOLS}

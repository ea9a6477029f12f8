"""Puts an exchange together."""

from __future__ import annotations

from decimal import Decimal

from engine_service.domain.clock import Clock
from engine_service.exchange_sim.accounts import AccountBook
from engine_service.exchange_sim.config import ConfigError, ExchangeConfig
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.event_bus import EventBus
from engine_service.exchange_sim.exchange import Exchange, MarketStart
from engine_service.exchange_sim.faults import Faults
from engine_service.exchange_sim.intervals import SECOND_MS
from engine_service.exchange_sim.market_setup import make_listing, members_of
from engine_service.exchange_sim.price_paths import PathSource
from engine_service.exchange_sim.seeded_market import SeededMarket

_BPS = Decimal(10_000)


def build_exchange(config: ExchangeConfig, clock: Clock) -> Exchange:
    """An exchange whose history ends now, with its accounts' balances deposited.

    Raises:
        ConfigError: a symbol that the source does not have, bars that cannot be replayed.
    """
    bus = EventBus()
    exchange = Exchange(
        start=_start_market(config, clock.now_ms(), bus),
        accounts=AccountBook(config.accounts),
        bus=bus,
        faults=Faults(config.seed),
        clock=clock,
        fee_rate=config.fee_bps / _BPS,
        funding_interval_ms=config.funding_interval_ms,
    )
    for account in config.accounts:
        for asset, amount in account.balances:
            exchange.deposit(account.account_id, Market.SPOT, asset, amount)
            exchange.deposit(account.account_id, Market.FUTURES, asset, amount)
    exchange.spot.drain_touched()
    return exchange


def _start_market(config: ExchangeConfig, now_ms: int, bus: EventBus) -> MarketStart:
    source = _source(config)
    history = source.history(config.history_s)
    first_open_ms = now_ms // SECOND_MS * SECOND_MS - len(history) * SECOND_MS
    lowest = history.prices.min(axis=(0, 1))
    members = members_of(source.symbols, config.symbols, lowest)
    listed = {member.spec.symbol for member in members}
    for symbol in config.symbols:
        if symbol not in listed:
            known = members_of(source.symbols, (), lowest)
            names = ", ".join(sorted({member.spec.symbol for member in known}))
            raise ConfigError("--symbols", symbol, f"any of {names}")
    followers = [(member, make_listing(member, history, first_open_ms, bus)) for member in members]
    return MarketStart(source, history, first_open_ms, followers)


def _source(config: ExchangeConfig) -> PathSource:
    if config.bars is None:
        return SeededMarket(config.seed)
    # Only a replay needs the Parquet reader; the seeded market starts without it.
    from engine_service.exchange_sim.recorded import read_recorded_market  # noqa: PLC0415

    return read_recorded_market(config.bars, config.symbols, config.seed)

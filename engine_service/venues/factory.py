"""Makes the venue that the settings name. The one place that knows every adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal, assert_never

from engine_service.domain.clock import Clock
from engine_service.domain.ids import Market
from engine_service.venues.binance.futures import BinanceFutures
from engine_service.venues.binance.hosts import Hosts, hosts_for
from engine_service.venues.binance.session import BinanceSession
from engine_service.venues.binance.sign import Signer, signer_for
from engine_service.venues.binance.spot import BinanceSpot
from engine_service.venues.binance.ws_api import OrderSocket
from engine_service.venues.paper.fill_model import Costs
from engine_service.venues.paper.sources import BinanceSource
from engine_service.venues.paper.venue import PaperState, PaperVenue
from engine_service.venues.port import Venue
from engine_service.venues.rate_limit import RateBudget

VenueKind = Literal["binance", "binance-futures", "paper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperOptions:
    """A paper account: opening balances by asset, what trading costs, and how far away the book is."""

    market: Market = Market.SPOT
    balances: Mapping[str, Decimal] = field(default_factory=lambda: {"USDT": Decimal(10_000)})
    costs: Costs = field(default_factory=Costs)
    latency_ms: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOptions:
    """What an adapter is made from.

    Args:
        home: NHMM_HOME, where the request budget is shared with research.
        url: replaces every host of the venue; empty for the venue itself.
        account: stays the same when keys are rotated; client order ids depend on it.
        order_entry: ``websocket`` sends spot orders over the WebSocket API while its socket is up.
    """

    kind: VenueKind
    home: Path
    url: str = ""
    testnet: bool = False
    api_key: str = ""
    api_secret: str = ""
    account: str = "main"
    order_entry: Literal["rest", "websocket"] = "rest"
    paper: PaperOptions = field(default_factory=PaperOptions)


def make_venue(options: VenueOptions, *, paper_state: PaperState | None = None, clock: Clock | None = None) -> Venue:
    """Return the venue, not yet opened.

    Args:
        paper_state: a paper account as the journal knows it; ``None`` opens a new one with ``options.paper.balances``.

    Raises:
        ConfigurationError: keys are missing or unusable, or the URL is no address.
    """
    match options.kind:
        case "binance":
            return BinanceSpot(_trading_session(options, Market.SPOT, clock), account=options.account)
        case "binance-futures":
            return BinanceFutures(_trading_session(options, Market.FUTURES, clock), account=options.account)
        case "paper":
            return _paper(options, paper_state, clock)
        case _:
            assert_never(options.kind)


def _trading_session(options: VenueOptions, market: Market, clock: Clock | None) -> BinanceSession:
    hosts = _hosts(options, market)
    over_socket = options.order_entry == "websocket" and market is Market.SPOT
    return _session(
        options,
        market,
        signer=signer_for(options.api_key, options.api_secret),
        order_socket=OrderSocket(hosts.ws_api, market) if over_socket else None,
        clock=clock,
    )


def _paper(options: VenueOptions, state: PaperState | None, clock: Clock | None) -> PaperVenue:
    paper = options.paper
    session = _session(options, paper.market, clock=clock)
    return PaperVenue(
        BinanceSource(session),
        state or PaperState(balances=paper.balances),
        costs=paper.costs,
        latency_ms=paper.latency_ms,
        clock=clock,
    )


def _session(
    options: VenueOptions,
    market: Market,
    *,
    signer: Signer | None = None,
    order_socket: OrderSocket | None = None,
    clock: Clock | None = None,
) -> BinanceSession:
    hosts = _hosts(options, market)
    budget = RateBudget.for_host(options.home, hosts.budget_key, weight_per_minute=hosts.weight_per_minute)
    return BinanceSession(market, hosts, budget, signer=signer, clock=clock, order_socket=order_socket)


def _hosts(options: VenueOptions, market: Market) -> Hosts:
    return hosts_for(market, url=options.url, testnet=options.testnet)

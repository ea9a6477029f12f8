"""Where the venue listens: production, its test nets, or one address that replaces them all."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from engine_service.domain.errors import ConfigurationError
from engine_service.domain.ids import Market


@dataclass(frozen=True, slots=True)
class Hosts:
    """The bases of one market.

    ``rest`` is the REST base, ``permissions_rest`` the one that tells what a key may do (empty: none does).
    ``public_stream`` carries book data, ``market_stream`` bars and marks (the same on spot), ``private_stream``
    the USD-M user stream, ``ws_api`` the request and response socket. ``budget_key`` names the rate budget: one
    per venue host and market, as the venue counts, with the allowance that holds until the venue states its own.
    """

    rest: str
    permissions_rest: str
    public_stream: str
    market_stream: str
    private_stream: str
    ws_api: str
    budget_key: str
    weight_per_minute: int


SPOT = Hosts(
    rest="https://api.binance.com",
    permissions_rest="https://api.binance.com",
    public_stream="wss://stream.binance.com:9443",
    market_stream="wss://stream.binance.com:9443",
    private_stream="",
    ws_api="wss://ws-api.binance.com:443/ws-api/v3",
    budget_key="api.binance.com",
    weight_per_minute=6000,
)
SPOT_TESTNET = Hosts(
    rest="https://testnet.binance.vision",
    permissions_rest="",
    public_stream="wss://stream.testnet.binance.vision",
    market_stream="wss://stream.testnet.binance.vision",
    private_stream="",
    ws_api="wss://ws-api.testnet.binance.vision/ws-api/v3",
    budget_key="testnet.binance.vision",
    weight_per_minute=6000,
)
FUTURES = Hosts(
    rest="https://fapi.binance.com",
    permissions_rest="https://api.binance.com",
    public_stream="wss://fstream.binance.com/public",
    market_stream="wss://fstream.binance.com/market",
    private_stream="wss://fstream.binance.com/private",
    ws_api="wss://ws-fapi.binance.com/ws-fapi/v1",
    budget_key="fapi.binance.com",
    weight_per_minute=2400,
)
FUTURES_TESTNET = Hosts(
    rest="https://demo-fapi.binance.com",
    permissions_rest="",
    public_stream="wss://demo-fstream.binance.com/public",
    market_stream="wss://demo-fstream.binance.com/market",
    private_stream="wss://demo-fstream.binance.com/private",
    ws_api="wss://testnet.binancefuture.com/ws-fapi/v1",
    budget_key="demo-fapi.binance.com",
    weight_per_minute=2400,
)


def hosts_for(market: Market, *, url: str = "", testnet: bool = False) -> Hosts:
    """Return the hosts of a market; ``url`` replaces every one of them, as the simulated exchange serves them.

    Raises:
        ConfigurationError: ``url`` is not an http(s) address without a path.
    """
    if url:
        return _replaced(market, url)
    if market is Market.SPOT:
        return SPOT_TESTNET if testnet else SPOT
    return FUTURES_TESTNET if testnet else FUTURES


def _replaced(market: Market, url: str) -> Hosts:
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
        raise ConfigurationError(
            "VENUE_URL_INVALID", "a venue URL is http(s)://host[:port] without a path, e.g. http://127.0.0.1:8010"
        )
    rest = f"{parts.scheme}://{parts.netloc}"
    stream = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
    spot = market is Market.SPOT
    return Hosts(
        rest=rest,
        permissions_rest=rest,
        public_stream=stream if spot else f"{stream}/public",
        market_stream=stream if spot else f"{stream}/market",
        private_stream="" if spot else f"{stream}/private",
        ws_api=f"{stream}/ws-api/v3" if spot else f"{stream}/ws-fapi/v1",
        budget_key=f"{parts.netloc}-{market.value}",
        weight_per_minute=6000 if spot else 2400,
    )

"""What a stream name asks for, and on which base it is delivered."""

from __future__ import annotations

import pytest

from engine_service.exchange_sim.binance_wire.ws_stream_names import Base, StreamKind, parse_stream
from engine_service.exchange_sim.enums import Market


@pytest.mark.parametrize(
    ("name", "kind", "symbol"),
    [
        ("btcusdt@trade", StreamKind.TRADE, "BTCUSDT"),
        ("btcusdt@aggTrade", StreamKind.AGG_TRADE, "BTCUSDT"),
        ("ethbtc@kline_1s", StreamKind.KLINE, "ETHBTC"),
        ("btcusdt@miniTicker", StreamKind.MINI_TICKER, "BTCUSDT"),
        ("btcusdt@ticker", StreamKind.TICKER, "BTCUSDT"),
        ("btcusdt@bookTicker", StreamKind.BOOK_TICKER, "BTCUSDT"),
        ("btcusdt@depth@100ms", StreamKind.DEPTH, "BTCUSDT"),
        ("btcusdt@depth20", StreamKind.PARTIAL_DEPTH, "BTCUSDT"),
        ("btcusdt@avgPrice", StreamKind.AVERAGE_PRICE, "BTCUSDT"),
        ("!miniTicker@arr", StreamKind.MINI_TICKER, ""),
        ("!ticker@arr", StreamKind.TICKER, ""),
    ],
)
def test_spot_names_are_read(name: str, kind: StreamKind, symbol: str) -> None:
    spec = parse_stream(Market.SPOT, name)
    assert spec is not None
    assert (spec.kind, spec.symbol, spec.base) == (kind, symbol, Base.SPOT)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("btcusdt@depth", Base.PUBLIC),
        ("btcusdt@depth5@100ms", Base.PUBLIC),
        ("btcusdt@bookTicker", Base.PUBLIC),
        ("btcusdt@trade", Base.PUBLIC),
        ("!bookTicker", Base.PUBLIC),
        ("btcusdt@aggTrade", Base.MARKET),
        ("btcusdt@kline_1m", Base.MARKET),
        ("btcusdt_perpetual@continuousKline_1m", Base.MARKET),
        ("btcusdt@markPrice@1s", Base.MARKET),
        ("!markPrice@arr", Base.MARKET),
        ("!ticker@arr", Base.MARKET),
    ],
)
def test_usdm_books_are_public_and_the_rest_is_market(name: str, base: Base) -> None:
    spec = parse_stream(Market.FUTURES, name)
    assert spec is not None
    assert spec.base is base


@pytest.mark.parametrize(
    ("market", "name"),
    [
        (Market.SPOT, "BTCUSDT@trade"),
        (Market.SPOT, "btcusdt"),
        (Market.SPOT, "btcusdt@kline_2m"),
        (Market.SPOT, "btcusdt@depth7"),
        (Market.SPOT, "btcusdt@markPrice"),
        (Market.SPOT, "!bookTicker"),
        (Market.FUTURES, "btcusdt@kline_1s"),
        (Market.FUTURES, "btcusdt@avgPrice"),
        (Market.FUTURES, "btcusdt@forceOrder"),
    ],
)
def test_what_the_market_does_not_send_is_never_delivered(market: Market, name: str) -> None:
    assert parse_stream(market, name) is None


def test_depth_speeds_are_those_of_the_market() -> None:
    periods = {
        (market, name): spec.period_ms
        for market in Market
        for name in ("btcusdt@depth", "btcusdt@depth@100ms")
        if (spec := parse_stream(market, name))
    }
    assert periods == {
        (Market.SPOT, "btcusdt@depth"): 1000,
        (Market.SPOT, "btcusdt@depth@100ms"): 100,
        (Market.FUTURES, "btcusdt@depth"): 250,
        (Market.FUTURES, "btcusdt@depth@100ms"): 100,
    }

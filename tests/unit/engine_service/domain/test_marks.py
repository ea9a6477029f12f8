"""Prices and rates: the newest wins, a bad book is no price, every asset finds its way to the reporting currency."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine_service.domain.ids import Market
from engine_service.domain.marks import Mark, MarkBook, asset_of, asset_symbol, venue_asset
from engine_service.domain.money import exactly, quantise

D = Decimal


def book(**prices: str) -> MarkBook:
    marks = MarkBook()
    for local, price in prices.items():
        marks.update(Mark(symbol=f"{local}.BINANCE", market=Market.SPOT, bid=D(price), ask=D(price), at_s=1))
    return marks


def test_the_newest_mark_wins_and_an_older_one_is_ignored() -> None:
    marks = book(BTCUSDT="100")
    marks.update(Mark(symbol="BTCUSDT.BINANCE", market=Market.SPOT, bid=D(90), ask=D(90), at_s=0))
    assert marks.price("BTCUSDT.BINANCE", Market.SPOT) == D(100)


@pytest.mark.parametrize(("bid", "ask"), [("0", "1"), ("2", "1"), ("NaN", "1"), ("1", "Infinity"), ("-1", "1")])
def test_an_empty_crossed_or_senseless_book_is_no_price(bid: str, ask: str) -> None:
    assert not Mark(symbol="X.Y", market=Market.SPOT, bid=D(bid), ask=D(ask), at_s=1).is_valid


def test_rates_go_direct_then_inverse_then_over_a_bridge() -> None:
    marks = book(BTCUSDT="50000", ETHBTC="0.05", USDTTRY="40")
    assert marks.rate("BINANCE", "USDT") == 1
    assert marks.rate("BINANCE", "BTC") == D(50000)
    assert marks.rate("BINANCE", "TRY") == D("0.025")
    assert marks.rate("BINANCE", "ETH") == D(2500)
    assert marks.rate("BINANCE", "NOPE") is None
    assert marks.rate("KRAKEN", "BTC") is None


def test_exact_sums_do_not_round_where_pythons_own_context_would() -> None:
    large, small = D("123456789012345678"), D("0.000000000000000001")
    assert exactly(lambda: large + small - large)() == small
    assert large + small - large != small


def test_quantising_keeps_what_fits_and_rounds_the_rest_once() -> None:
    assert quantise(D("1.5")).as_tuple() == D("1.5").as_tuple()
    assert quantise(D("1") / D("3")) == D("0.333333333333333333")


def test_marks_are_found_by_instrument_and_all_together() -> None:
    marks = book(BTCUSDT="100", ETHUSDT="10")
    found = marks.get("BTCUSDT.BINANCE", Market.SPOT)
    assert found is not None
    assert found.price == 100
    assert marks.get("BTCUSDT.BINANCE", Market.FUTURES) is None
    assert sorted(mark.symbol for mark in marks.all()) == ["BTCUSDT.BINANCE", "ETHUSDT.BINANCE"]


def test_every_listener_hears_of_a_newer_mark_and_of_one_of_the_same_moment() -> None:
    marks, heard = MarkBook(), list[Mark]()
    marks.listen(heard.append)
    for at_s in (5, 5, 4):
        marks.update(Mark(symbol="X.Y", market=Market.SPOT, bid=D(1), ask=D(3), at_s=at_s))
    assert [mark.at_s for mark in heard] == [5, 5]
    assert marks.price("X.Y", Market.SPOT) == 2


def test_a_bridge_is_no_way_to_itself() -> None:
    marks = book(BTCETH="20", ETHUSDT="10")
    assert marks.rate("BINANCE", "BTC") == 200
    assert book(BNBBNB="2", BNBX="3").rate("BINANCE", "BNB") is None


@pytest.mark.parametrize(
    ("symbol", "asset"),
    [("BTCUSDT.BINANCE", "BTC"), ("ETHBTC.BINANCE", None), ("USDT.BINANCE", None), ("USDTTRY.BINANCE", None)],
)
def test_an_instrument_prices_an_asset_where_its_quote_is_the_reporting_currency(
    symbol: str, asset: str | None
) -> None:
    assert asset_of(symbol, "USDT") == asset
    assert venue_asset(symbol, "USDT") == (None if asset is None else ("BINANCE", asset))
    assert asset_symbol("BTC", "USDT", "BINANCE") == "BTCUSDT.BINANCE"

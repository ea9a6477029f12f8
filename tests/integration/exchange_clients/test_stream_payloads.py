"""Payloads of the streams, field by field as the venue documents them."""

from __future__ import annotations

from decimal import Decimal

from engine_service.exchange_sim.binance_wire import ws_payloads_market as market_payloads
from engine_service.exchange_sim.binance_wire import ws_payloads_user as user_payloads
from engine_service.exchange_sim.binance_wire.ws_topics import merge_depth
from engine_service.exchange_sim.binance_wire.ws_user_hub import reports_of
from engine_service.exchange_sim.enums import (
    Market,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from engine_service.exchange_sim.events import (
    BookTickerEvent,
    Channel,
    DepthEvent,
    ExecutionType,
    KlineEvent,
    OrderEvent,
    SpotPositionEvent,
    StreamKey,
    TradeEvent,
)
from engine_service.exchange_sim.model import Balance, SimOrder, SimTrade
from engine_service.exchange_sim.public_data import Bar, BookTop, Level, PublicTrade

D = Decimal
AT = 1_672_515_782_136


def key(channel: Channel, market: Market, interval: str = "") -> StreamKey:
    return StreamKey(channel, market, "BNBUSDT", interval)


def bar() -> Bar:
    return Bar(
        open_ms=1_672_515_780_000,
        open=D("0.0010"),
        high=D("0.0025"),
        low=D("0.0015"),
        close=D("0.0020"),
        volume=D(1000),
        close_ms=1_672_515_839_999,
        quote_volume=D(1),
        trades=100,
        taker_volume=D(500),
        taker_quote_volume=D("0.5"),
        first_trade_id=100,
        last_trade_id=200,
    )


def order(market: Market = Market.SPOT, **changes: object) -> SimOrder:
    fields: dict[str, object] = {
        "account_id": "a",
        "market": market,
        "symbol": "ETHBTC",
        "order_id": 4293153,
        "client_order_id": "mine",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "original_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": D(1),
        "quote_quantity": D(0),
        "price": D("0.1026441"),
        "stop_price": D(0),
        "status": OrderStatus.NEW,
        "executed_quantity": D(0),
        "executed_quote": D(0),
        "created_ms": AT,
        "updated_ms": AT,
        "is_working": True,
        "working_ms": AT,
        "stp": SelfTradePrevention.NONE,
    }
    return SimOrder(**(fields | changes))  # type: ignore[arg-type]  # fields by name, as the tests change them


def fill(market: Market = Market.SPOT) -> SimTrade:
    return SimTrade(
        account_id="a",
        market=market,
        symbol="ETHBTC",
        trade_id=77,
        order_id=4293153,
        client_order_id="mine",
        side=Side.BUY,
        price=D("0.1"),
        quantity=D("0.25"),
        quote_quantity=D("0.025"),
        fee=D("0.00025"),
        fee_asset="ETH",
        at_ms=AT,
        is_maker=False,
        realised_pnl=D("1.5"),
    )


def test_a_spot_kline_has_the_documented_fields() -> None:
    event = KlineEvent(key(Channel.KLINE, Market.SPOT, "1m"), bar(), closed=False, at_ms=AT)
    assert market_payloads.kline(event) == {
        "e": "kline",
        "E": AT,
        "s": "BNBUSDT",
        "k": {
            "t": 1672515780000,
            "T": 1672515839999,
            "s": "BNBUSDT",
            "i": "1m",
            "f": 100,
            "L": 200,
            "o": "0.00100000",
            "c": "0.00200000",
            "h": "0.00250000",
            "l": "0.00150000",
            "v": "1000.00000000",
            "n": 100,
            "x": False,
            "q": "1.00000000",
            "V": "500.00000000",
            "Q": "0.50000000",
            "B": "0",
        },
    }


def test_microseconds_scale_every_time_and_close_a_bar_one_microsecond_early() -> None:
    event = KlineEvent(key(Channel.KLINE, Market.SPOT, "1m"), bar(), closed=True, at_ms=AT)
    payload = market_payloads.kline(event, 1000)
    inner = payload["k"]
    assert isinstance(inner, dict)
    assert payload["E"] == AT * 1000
    assert (inner["t"], inner["T"]) == (1672515780000000, 1672515839999999)


def test_a_trade_names_no_orders_and_usdm_adds_its_kind() -> None:
    trade = PublicTrade(12345, D("0.001"), D(100), AT, is_buyer_maker=True)
    spot = market_payloads.trade(TradeEvent(key(Channel.TRADE, Market.SPOT), trade, AT))
    futures = market_payloads.trade(TradeEvent(key(Channel.TRADE, Market.FUTURES), trade, AT))
    assert list(spot) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]
    assert (futures["X"], futures["p"], "M" in futures) == ("MARKET", "0.001", False)


def test_a_spot_book_ticker_has_neither_type_nor_time_and_usdm_has_both() -> None:
    top = BookTop(400900217, D("25.3519"), D("31.21"), D("25.3652"), D("40.66"), AT)
    spot = market_payloads.book_ticker(BookTickerEvent(key(Channel.BOOK_TICKER, Market.SPOT), top, AT))
    futures = market_payloads.book_ticker(BookTickerEvent(key(Channel.BOOK_TICKER, Market.FUTURES), top, AT))
    assert spot == {
        "u": 400900217,
        "s": "BNBUSDT",
        "b": "25.35190000",
        "B": "31.21000000",
        "a": "25.36520000",
        "A": "40.66000000",
    }
    assert futures == {
        "u": 400900217,
        "s": "BNBUSDT",
        "b": "25.3519",
        "B": "31.21",
        "a": "25.3652",
        "A": "40.66",
        "e": "bookTicker",
        "E": AT,
        "T": AT,
    }


def depth(first: int, last: int, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> DepthEvent:
    return DepthEvent(
        key=key(Channel.DEPTH, Market.FUTURES),
        first_update_id=first,
        last_update_id=last,
        previous_update_id=first - 1,
        bids=tuple(Level(D(p), D(q)) for p, q in bids),
        asks=tuple(Level(D(p), D(q)) for p, q in asks),
        at_ms=AT + last,
    )


def test_merged_depth_keeps_the_last_quantity_of_each_price_and_joins_the_ids() -> None:
    merged = merge_depth(
        [
            depth(157, 160, [("10", "1"), ("9", "2")], [("11", "3")]),
            depth(161, 165, [("10", "0")], [("12", "4"), ("11", "5")]),
        ]
    )
    assert market_payloads.depth_update(merged) == {
        "e": "depthUpdate",
        "E": AT + 165,
        "s": "BNBUSDT",
        "U": 157,
        "u": 165,
        "b": [["10", "0"], ["9", "2"]],
        "a": [["11", "5"], ["12", "4"]],
        "T": AT + 165,
        "pu": 156,
    }


def test_an_execution_report_of_a_new_order_has_the_documented_fields() -> None:
    event = OrderEvent("a", Market.SPOT, ExecutionType.NEW, order(), None, 8641984, AT)
    assert user_payloads.execution_report(event) == {
        "e": "executionReport",
        "E": AT,
        "s": "ETHBTC",
        "c": "mine",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "1.00000000",
        "p": "0.10264410",
        "P": "0.00000000",
        "F": "0.00000000",
        "g": -1,
        "C": "",
        "x": "NEW",
        "X": "NEW",
        "r": "NONE",
        "i": 4293153,
        "l": "0.00000000",
        "z": "0.00000000",
        "L": "0.00000000",
        "n": "0",
        "N": None,
        "t": -1,
        "m": False,
        "Z": "0.00000000",
        "Y": "0.00000000",
        "T": AT,
        "I": 8641984,
        "w": True,
        "M": False,
        "O": AT,
        "Q": "0.00000000",
        "V": "NONE",
        "W": AT,
    }


def test_a_cancel_report_carries_the_requests_id_and_the_orders_own_beside_it() -> None:
    event = OrderEvent("a", Market.SPOT, ExecutionType.CANCELED, order(), None, 2, AT, request_client_id="cancel-1")
    report = user_payloads.execution_report(event)
    assert (report["c"], report["C"]) == ("cancel-1", "mine")


def test_a_fill_report_carries_trade_fee_and_sums() -> None:
    filled = order(executed_quantity=D("0.25"), executed_quote=D("0.025"), status=OrderStatus.PARTIALLY_FILLED)
    event = OrderEvent("a", Market.SPOT, ExecutionType.TRADE, filled, fill(), 3, AT)
    report = user_payloads.execution_report(event)
    told = {name: report[name] for name in ("l", "L", "z", "Z", "Y", "n", "N", "t", "m", "X")}
    assert told == {
        "l": "0.25000000",
        "L": "0.10000000",
        "z": "0.25000000",
        "Z": "0.02500000",
        "Y": "0.02500000",
        "n": "0.00025000",
        "N": "ETH",
        "t": 77,
        "m": False,
        "X": "PARTIALLY_FILLED",
    }


def test_fields_of_some_orders_only_are_absent_from_the_others() -> None:
    plain = user_payloads.execution_report(OrderEvent("a", Market.SPOT, ExecutionType.NEW, order(), None, 1, AT))
    stop = order(is_working=False, working_ms=-1, strategy_id=9, strategy_type=1_000_001)
    special = user_payloads.execution_report(OrderEvent("a", Market.SPOT, ExecutionType.NEW, stop, None, 1, AT))
    assert {"j", "J", "A", "B"} & plain.keys() == set()
    assert (special["j"], special["J"], "W" in special) == (9, 1_000_001, False)


def test_balances_are_reported_with_eight_decimals() -> None:
    event = SpotPositionEvent("a", (Balance("ETH", D(10000), D(0)),), AT)
    assert user_payloads.outbound_account_position(event) == {
        "e": "outboundAccountPosition",
        "E": AT,
        "u": AT,
        "B": [{"a": "ETH", "f": "10000.00000000", "l": "0.00000000"}],
    }


def test_a_usdm_fill_is_reported_lite_and_in_full() -> None:
    filled = order(Market.FUTURES, executed_quantity=D("0.25"), executed_quote=D("0.025"))
    reports = reports_of(OrderEvent("a", Market.FUTURES, ExecutionType.TRADE, filled, fill(Market.FUTURES), 3, AT))
    assert [report.name for report in reports] == ["TRADE_LITE", "ORDER_TRADE_UPDATE"]
    full = reports[1].build(1)["o"]
    assert isinstance(full, dict)
    assert (full["ap"], full["rp"], full["n"], full["N"], full["t"]) == ("0.1", "1.5", "0.00025", "ETH", 77)


def test_a_usdm_order_that_only_rests_is_not_reported_as_a_trade() -> None:
    reports = reports_of(OrderEvent("a", Market.FUTURES, ExecutionType.NEW, order(Market.FUTURES), None, 3, AT))
    assert [report.name for report in reports] == ["ORDER_TRADE_UPDATE"]

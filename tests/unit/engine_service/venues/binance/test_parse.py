"""Payloads as the venue documents them, and as a hostile or changed venue might send them."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET, UnsetType

from engine_service.domain.ids import Market
from engine_service.domain.order_status import OrderSide, OrderStatus, OrderType
from engine_service.venues.binance import parse_futures, parse_income, parse_market, parse_spot, parse_spot_stream
from engine_service.venues.binance.parse import ParseError, at_ms, decimal
from engine_service.venues.reports import BalanceReport, OrderReport, Rejected
from tests.unit.engine_service.venues.builders import limit_order

EXECUTION: dict[str, Any] = {
    "e": "executionReport", "E": 1760000000100, "s": "BTCUSDT", "c": "ab12", "S": "BUY", "o": "LIMIT", "f": "GTC",
    "q": "1.00000000", "p": "0.10264410", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW",
    "X": "NEW", "r": "NONE", "i": 4293153, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0",
    "N": None, "T": 1760000000090, "t": -1, "w": True, "m": False,
}  # fmt: skip
TRADE = EXECUTION | {
    "x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.40000000", "z": "0.40000000", "L": "0.10264400",
    "n": "0.00040000", "N": "BNB", "t": 77,
}  # fmt: skip
SPOT_ORDER: dict[str, Any] = {
    "symbol": "BTCUSDT", "orderId": 28, "clientOrderId": "ab12", "price": "30000.00000000", "origQty": "1.0000",
    "executedQty": "0.25000000", "cummulativeQuoteQty": "7500.00000000", "status": "PARTIALLY_FILLED",
    "timeInForce": "GTC", "type": "LIMIT", "side": "SELL", "stopPrice": "0.00000000", "time": 1760000000000,
    "updateTime": 1760000000500, "isWorking": True, "workingTime": 1760000000000,
}  # fmt: skip


def report_of(payload: dict[str, Any]) -> OrderReport:
    event = parse_spot_stream.user_event(payload)
    assert isinstance(event, OrderReport)
    return event


def test_an_execution_report_with_a_trade_carries_the_fill_with_its_fee_in_a_third_coin() -> None:
    report = report_of(TRADE)
    assert report.status is OrderStatus.PARTIALLY_FILLED
    assert report.fill is not None
    assert (report.fill.trade_id, report.fill.quantity, report.fill.price) == (
        "77", Decimal("0.4"), Decimal("0.102644")
    )  # fmt: skip
    assert (report.fill.fee, report.fill.fee_asset, report.fill.liquidity) == (Decimal("0.0004"), "BNB", "taker")


def test_a_cancel_report_names_the_order_that_was_cancelled_and_not_the_cancel_request() -> None:
    report = report_of(EXECUTION | {"x": "CANCELED", "X": "CANCELED", "c": "cancelrequest", "C": "ab12"})
    assert (report.client_order_id, report.status) == ("ab12", OrderStatus.CANCELED)


def test_an_unknown_status_quarantines_that_order_and_raises_nothing() -> None:
    assert report_of(EXECUTION | {"X": "TELEPORTED"}).status is OrderStatus.QUARANTINED


def test_an_unknown_order_type_quarantines_but_the_fill_is_not_lost() -> None:
    report = report_of(TRADE | {"o": "HOLOGRAM"})
    assert report.status is OrderStatus.QUARANTINED
    assert report.fill is not None


def test_expired_in_match_is_terminal_with_its_fills() -> None:
    assert report_of(TRADE | {"X": "EXPIRED_IN_MATCH"}).status is OrderStatus.EXPIRED


def test_a_triggered_stop_is_told_from_a_waiting_one() -> None:
    stop = EXECUTION | {"o": "STOP_LOSS_LIMIT", "P": "90"}
    assert report_of(stop | {"w": False}).status is OrderStatus.ACCEPTED
    assert report_of(stop | {"w": True}).status is OrderStatus.TRIGGERED


@pytest.mark.parametrize("field", ["s", "S", "q", "z", "i"])
def test_a_report_without_a_vital_field_is_an_error_of_that_report_alone(field: str) -> None:
    with pytest.raises(ParseError):
        parse_spot_stream.user_event({name: value for name, value in EXECUTION.items() if name != field})


def test_a_trade_without_an_id_is_not_booked_under_an_invented_one() -> None:
    with pytest.raises(ParseError):
        parse_spot_stream.user_event(TRADE | {"t": None})


def test_an_event_of_an_unknown_kind_is_left_out() -> None:
    assert parse_spot_stream.user_event({"e": "somethingNew"}) is None


def test_a_transfer_is_not_a_balance_snapshot() -> None:
    event = parse_spot_stream.user_event(
        {"e": "balanceUpdate", "E": 1760000000100, "a": "BTC", "d": "-1.5", "T": 1760000000090}
    )
    assert isinstance(event, BalanceReport)
    assert (event.kind, event.transfer_asset, event.transfer_amount) == ("transfer", "BTC", Decimal("-1.5"))


def test_a_queried_order_is_read_with_its_times_and_prices() -> None:
    report = parse_spot.order_report(SPOT_ORDER)
    assert (report.symbol, report.side, report.type) == ("BTCUSDT.BINANCE", OrderSide.SELL, OrderType.LIMIT)
    assert (report.limit_price, report.stop_price) == (Decimal(30000), None)
    assert report.at_ms == 1760000000500


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "1e5", " 1", "1_000", "٣", "", "0x1", "1.", ".5", "--1", 1.5, True, None, "1" * 60],
)
def test_only_a_plain_decimal_is_a_decimal(value: object) -> None:
    with pytest.raises(ParseError):
        decimal({"price": value}, "price")


def test_a_negative_fee_is_a_rebate_and_legal() -> None:
    report = report_of(TRADE | {"n": "-0.00010000"})
    assert report.fill is not None
    assert report.fill.fee == Decimal("-0.0001")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1760000000000, 1760000000000),
        (1760000000000123, 1760000000000),
        (0, 0),
        (-5, 0),
        ("1760000000000", 0),
        (True, 0),
        (9_999_999_999_999_999_999, 0),
    ],
)
def test_times_are_scaled_from_microseconds_and_nonsense_is_unknown(value: object, expected: int) -> None:
    assert at_ms({"T": value}, "T") == expected


def test_a_partly_failed_replacement_says_that_the_old_order_is_gone() -> None:
    legs = {
        "cancelResult": "SUCCESS",
        "newOrderResult": "FAILURE",
        "cancelResponse": {**SPOT_ORDER, "status": "CANCELED"},
        "newOrderResponse": {"code": -2010, "msg": "Order would immediately match and take."},
    }
    outcome = parse_spot.replaced(legs, limit_order(), "new1")
    assert outcome is not None
    assert (outcome.status, outcome.venue_order_id) == (OrderStatus.CANCELED, "28")
    assert outcome.refused == "-2010 Order would immediately match and take."


def test_a_replacement_with_a_missing_leg_proves_nothing() -> None:
    assert parse_spot.replaced({"cancelResult": "SUCCESS"}, limit_order(), "new1") is None
    assert parse_spot.replace_refused({"cancelResult": "SUCCESS"}) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Unknown order sent.", "VENUE_UNKNOWN_ORDER"),
        ("Order was not canceled due to cancel restrictions.", "VENUE_ORDER_TRADED"),
    ],
)
def test_a_replacement_of_which_nothing_was_done_says_why(text: str, code: str) -> None:
    legs = {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": {"code": -2011, "msg": text},
    }
    refused = parse_spot.replace_refused(legs)
    assert isinstance(refused, Rejected)
    assert refused.code == code


FUTURES_EVENT: dict[str, Any] = {
    "e": "ORDER_TRADE_UPDATE", "E": 1760000000100, "T": 1760000000099,
    "o": {
        "s": "BTCUSDT", "c": "ab12", "S": "SELL", "o": "MARKET", "f": "GTC", "q": "0.010", "p": "0", "ap": "30000",
        "sp": "0", "x": "TRADE", "X": "FILLED", "i": 8886774, "l": "0.010", "z": "0.010", "L": "30000.10",
        "N": "USDT", "n": "0.12", "T": 1760000000099, "t": 5, "m": False, "R": True, "ot": "MARKET", "ps": "BOTH",
    },
}  # fmt: skip


def test_a_futures_fill_is_read_from_the_order_update() -> None:
    report = parse_futures.order_event(FUTURES_EVENT)
    assert report.fill is not None
    assert (report.market, report.fill.trade_id, report.fill.fee) == (Market.FUTURES, "5", Decimal("0.12"))


@pytest.mark.parametrize(
    ("told", "realised"), [({"rp": "-0.00000004"}, Decimal("-4e-8")), ({}, UNSET), ({"rp": {}}, UNSET)]
)
def test_the_profit_that_the_venue_booked_is_read_with_the_trade(
    told: dict[str, object], realised: Decimal | UnsetType
) -> None:
    report = parse_futures.order_event({**FUTURES_EVENT, "o": {**FUTURES_EVENT["o"], **told}})
    assert report.fill is not None
    assert report.fill.realised == realised


def test_an_algo_update_names_the_ordinary_order_that_trades_for_it() -> None:
    payload = {
        "e": "ALGO_UPDATE", "T": 1760000000000, "E": 1760000000001,
        "o": {"caid": "ab12", "aid": 2148719, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BNBUSDT", "S": "SELL",
              "ps": "BOTH", "f": "GTC", "q": "0.01", "X": "TRIGGERED", "ai": "889", "tp": "750", "p": "0"},
    }  # fmt: skip
    report, child = parse_futures.algo_event(payload)
    assert (report.venue_order_id, report.status, child) == ("algo-2148719", OrderStatus.TRIGGERED, "889")
    assert (report.type, report.stop_price) == (OrderType.STOP_MARKET, Decimal(750))


def test_positions_in_hedge_mode_are_refused_and_not_added_up() -> None:
    row = {"symbol": "BTCUSDT", "positionSide": "LONG", "positionAmt": "1", "entryPrice": "1", "markPrice": "1"}
    with pytest.raises(ParseError):
        parse_futures.positions([row])


def test_flat_positions_are_left_out() -> None:
    row = {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.000", "entryPrice": "0"}
    assert parse_futures.positions([row]) == ()


EXCHANGE_INFO = {
    "rateLimits": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
    ],
    "symbols": [
        {
            "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001000"},
                {"filterType": "MARKET_LOT_SIZE", "minQty": "0", "maxQty": "115.2", "stepSize": "0.00000000"},
                {"filterType": "NOTIONAL", "minNotional": "5.00000000", "maxNotional": "9000000.0"},
            ],
        },
        {"symbol": "币安USDT", "status": "TRADING", "baseAsset": "币安", "quoteAsset": "USDT", "filters": []},
    ],
}  # fmt: skip


def test_instruments_take_their_rules_from_the_filters_and_unnameable_symbols_are_left_out() -> None:
    (bitcoin,) = parse_market.instruments(EXCHANGE_INFO, Market.SPOT)
    assert (bitcoin.symbol, bitcoin.tick, bitcoin.step) == ("BTCUSDT.BINANCE", Decimal("0.01"), Decimal("0.00001"))
    assert (bitcoin.market_step, bitcoin.market_max_quantity) == (Decimal(0), Decimal("115.2"))
    assert (bitcoin.min_notional, bitcoin.max_notional, bitcoin.trading) == (Decimal(5), Decimal(9_000_000), True)


def test_limits_are_taken_from_the_venue() -> None:
    assert parse_market.weight_limits(EXCHANGE_INFO) == (6000, {10: 100, 86_400: 200_000})


@pytest.mark.parametrize("bad", ["NaN", "inf", None, "x"])
def test_a_bar_with_a_number_that_is_none_is_refused(bad: object) -> None:
    with pytest.raises(ParseError):
        parse_market.bar_row([1760000000000, "1", bad, "1", "1", "1", 1760000000999, "1", 3, "0", "0", "0"])


def test_a_bar_is_closed_only_when_the_venues_time_has_passed_its_end() -> None:
    row = parse_market.bar_row([1760000000000, "1", "2", "1", "2", "5", 1760000000999, "7", 3])
    early = parse_market.bar_report(row, "BTCUSDT.BINANCE", Market.SPOT, "1s", 1760000000999)
    later = parse_market.bar_report(row, "BTCUSDT.BINANCE", Market.SPOT, "1s", 1760000001000)
    assert (early.closed, later.closed, later.close_at_ms) == (False, True, 1760000001000)


@pytest.mark.parametrize("wrong", [{"L": "0"}, {"L": "-5"}, {"l": "0"}, {"l": "-0.4"}])
def test_a_trade_without_a_price_or_a_size_is_no_trade(wrong: dict[str, str]) -> None:
    with pytest.raises(ParseError):
        report_of(TRADE | wrong)


def test_an_answer_about_another_order_is_no_answer_to_ours() -> None:
    order = limit_order()
    answer = SPOT_ORDER | {"clientOrderId": order.client_order_id, "fills": [], "transactTime": 1760000000000}
    assert parse_spot.placed(answer, order).venue_order_id == "28"
    with pytest.raises(ParseError, match="another order"):
        parse_spot.placed(answer | {"clientOrderId": "somebody-elses"}, order)
    canceled = SPOT_ORDER | {"status": "CANCELED", "origClientOrderId": order.client_order_id}
    assert parse_spot.canceled(canceled, order).status is OrderStatus.CANCELED
    with pytest.raises(ParseError, match="another order"):
        parse_spot.canceled(canceled | {"origClientOrderId": "somebody-elses"}, order)


def test_a_limit_whose_window_cannot_be_read_is_left_out() -> None:
    day = {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 160_000}
    odd = day | {"interval": "SECOND", "intervalNum": "ten"}
    assert parse_market.weight_limits({"rateLimits": [odd, day]}) == (0, {86_400: 160_000})


@pytest.mark.parametrize("trades", [None, "many", float("inf")])
def test_a_bar_whose_count_of_trades_is_no_number_cannot_be_read(trades: object) -> None:
    with pytest.raises(ParseError):
        parse_market.bar_row([1, "1", "1", "1", "1", "1", 2, "1", trades])


def test_orders_of_one_client_id_that_the_venue_placed_itself_are_told_apart() -> None:
    told = [
        parse_futures.order_event({**FUTURES_EVENT, "o": {**FUTURES_EVENT["o"], "c": "adl_autoclose", "i": number}})
        for number in (8, 9)
    ]
    assert [report.client_order_id for report in told] == ["adl_autoclose-8", "adl_autoclose-9"]


def income_row(kind: str, number: int = 9689322392, **fields: Any) -> dict[str, Any]:
    return {
        "symbol": "", "incomeType": kind, "income": "0.37500000", "asset": "USDT", "info": kind, "time": 1760000000000,
        "tranId": number, "tradeId": "", **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("COMMISSION_REBATE", "rebate"),
        ("REFERRAL_KICKBACK", "rebate"),
        ("API_REBATE", "rebate"),
        ("FEE_RETURN", "rebate"),
        ("WELCOME_BONUS", "bonus"),
        ("CONTEST_REWARD", "bonus"),
        ("BFUSD_REWARD", "bonus"),
        ("INSURANCE_CLEAR", "insurance"),
        ("AUTO_EXCHANGE", "conversion"),
        ("COIN_SWAP_DEPOSIT", "conversion"),
        ("COIN_SWAP_WITHDRAW", "conversion"),
    ],
)
def test_income_is_told_under_our_kind_and_an_id_of_its_type_and_asset(word: str, kind: str) -> None:
    (found,) = parse_income.income([income_row(word)])
    assert (found.kind, found.amount, found.asset) == (kind, Decimal("0.375"), "USDT")
    assert (found.at_ms, found.income_id) == (1760000000000, f"{word}:9689322392:USDT")
    assert parse_income.is_income_event({"a": {"m": word}})


@pytest.mark.parametrize("word", ["TRANSFER", "COMMISSION", "REALIZED_PNL", "FUNDING_FEE", "NEW", "", None, []])
def test_what_is_booked_by_itself_or_not_known_is_no_income(word: Any) -> None:
    assert parse_income.income([income_row(word)]) == ()
    assert not parse_income.is_income_event({"a": {"m": word}})


@pytest.mark.parametrize("wrong", [{"income": "x"}, {"asset": None}, {"tranId": "y"}])
def test_income_that_cannot_be_read_is_not_passed_over(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParseError):
        parse_income.income([income_row("API_REBATE", **wrong)])

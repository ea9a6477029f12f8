"""Every error code a caller can get: its HTTP status and its title. One table, shared by server, client and docs.

Codes are stable; titles may be reworded. A rail's refusal is 403 where another order could pass, 422 where this
one can never pass as written, 423 while a person holds trading, 429 for pace and 503 where the engine must recover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeSpec:
    """One error code."""

    status: int
    title: str


def _codes(status: int, **titles: str) -> dict[str, CodeSpec]:
    return {code: CodeSpec(status, title) for code, title in titles.items()}


FRAMING: Mapping[str, CodeSpec] = {
    **_codes(
        400,
        HEADER_DUPLICATED="A header that may stand once stands twice.",
        HEADER_INVALID="A header holds a character that no header may hold.",
        HEADER_CONFLICT="Two idempotency headers disagree.",
        HOST_NOT_ALLOWED="The Host header names another machine.",
        BODY_NOT_UTF8="The body is not UTF-8.",
        JSON_BOM="The body starts with a byte order mark.",
        JSON_INVALID="The body is not JSON.",
        JSON_DUPLICATE_KEY="A key stands twice in one JSON object.",
        JSON_TOO_DEEP="The JSON is nested too deeply.",
        QUERY_DUPLICATED="A query parameter stands twice.",
        CURSOR_INVALID="The cursor was not made by this engine for this list.",
        IDEMPOTENCY_KEY_MISSING="The request needs an Idempotency-Key header.",
        IDEMPOTENCY_KEY_INVALID="The idempotency key is not 8 to 128 characters of A-Z a-z 0-9 . _ : -",
        REQUEST_INVALID="The request cannot be read.",
    ),
    **_codes(408, REQUEST_TIMEOUT="The request did not arrive in time."),
    **_codes(413, BODY_TOO_LARGE="The body is larger than this route takes."),
    **_codes(
        415,
        UNSUPPORTED_MEDIA_TYPE="The body must be application/json in UTF-8.",
        UNSUPPORTED_CONTENT_ENCODING="Compressed bodies are not taken.",
    ),
    **_codes(414, URI_TOO_LONG="The address is longer than any of this engine's."),
    **_codes(417, EXPECTATION_FAILED="The Expect header cannot be met."),
    **_codes(431, HEADERS_TOO_LARGE="The headers are too large or too many."),
    **_codes(405, METHOD_NOT_ALLOWED="The route does not take this method."),
    **_codes(406, NOT_ACCEPTABLE="The route answers in JSON only."),
}

ACCESS: Mapping[str, CodeSpec] = {
    "TOKEN_MISSING": CodeSpec(401, "A bearer token is needed."),
    "TOKEN_INVALID": CodeSpec(401, "The bearer token is not known."),
    **_codes(
        403,
        SCOPE_REQUIRED="The token's scopes do not cover this route.",
        SECOND_PERSON_REQUIRED="Another person than the one who halted has to lift the halt.",
        ORIGIN_NOT_ALLOWED="Browser pages of other origins may not call the engine.",
    ),
    **_codes(429, RATE_LIMITED="Too many requests.", TOO_MANY_FAILURES="Too many failed logins from this address."),
    **_codes(503, OVERLOADED="The engine is at its limit of concurrent requests."),
}

FIELDS: Mapping[str, CodeSpec] = _codes(
    422,
    BODY_NOT_OBJECT="The body must be a JSON object.",
    FIELD_MISSING="A field is missing.",
    FIELD_UNKNOWN="A field is not known here.",
    FIELD_TYPE="A field has the wrong type.",
    FIELD_RANGE="A field lies outside its range.",
    LIST_TOO_LONG="A list has too many elements.",
    STRING_INVALID="A text holds characters that are not allowed.",
    STRING_TOO_LONG="A text is too long.",
    NUMBER_FORMAT="Numbers are decimal text such as 0.001: digits and at most one point.",
    NUMBER_TOO_LONG="A number has too many digits.",
    NUMBER_NOT_FINITE="A number must be finite.",
    NUMBER_OUT_OF_RANGE="A number lies outside what money can be.",
    QUANTITY_NOT_POSITIVE="The quantity must be above zero.",
    QUANTITY_OR_QUOTE_REQUIRED="Give quantity or quote.",
    QUANTITY_AND_QUOTE="Give quantity or quote, not both.",
    QUANTITY_STEP="The quantity is not a multiple of the instrument's step.",
    QUANTITY_ROUNDS_TO_ZERO="The quantity is below the instrument's step.",
    PRICE_NOT_POSITIVE="The price must be above zero.",
    PRICE_TICK="The price is not a multiple of the instrument's tick.",
    PRICE_NOT_ALLOWED="A market order has no price.",
    PRICE_REQUIRED="A limit order needs a price.",
    STOP_PRICE_REQUIRED="A conditional order needs a stop price.",
    KIND_INVALID="The kind is stop or take_profit.",
    TYPE_INVALID="The type is market, limit, stop or bracket.",
    BRACKET_INVALID="The bracket does not fit its entry.",
    BRACKET_PRICES="The entry's price must lie between its stop-loss and its take-profit.",
    SIDE_INVALID="The side is BUY or SELL.",
    SYMBOL_FORMAT="A symbol is written BASEQUOTE.VENUE, for example BTCUSDT.BINANCE.",
    VENUE_MISMATCH="The venue field and the symbol's venue differ.",
    VENUE_UNKNOWN="There is no such venue.",
    MARKET_INVALID="The symbol does not trade on this market.",
    TIF_INVALID="The time in force is GTC, IOC or FOK.",
    LIMIT_RANGE="The limit lies outside its range.",
    CONFIG_INVALID="A configuration file cannot be used as it is.",
    QUERY_UNKNOWN="A query parameter is not known here.",
    QUERY_INVALID="A query parameter has the wrong form.",
    RANGE_TOO_WIDE="The time range is too wide.",
    REASON_REQUIRED="A reason is needed.",
    REQUEST_STALE="The request was made too long ago.",
    REQUEST_FROM_FUTURE="The request says that it was made later than now.",
    RAIL_RANGE="A limit lies outside its range.",
    IDEMPOTENCY_KEY_REUSED="The idempotency key was used with another body.",
    MODEL_INVALID="The model cannot be used.",
    MODEL_SCHEMA="The model was made for other features.",
    ORDER_SHAPE_INVALID="The order cannot be placed as written.",
    NOTIONAL_TOO_SMALL="The order is worth too little.",
    NOTHING_TO_CHANGE="The order has this price and quantity already.",
    AMEND_NOT_SUPPORTED="The venue cannot change this order so.",
)

RAILS: Mapping[str, CodeSpec] = {
    **_codes(423, TRADING_HALTED="Trading is halted until a person resumes it."),
    **_codes(
        403,
        TRADING_DISABLED="Trading is off by configuration.",
        STRATEGY_DISABLED="The strategy is switched off until a person enables it.",
        EQUITY_BREAKER_OPEN="The equity breaker is open.",
        SYMBOL_NOT_ALLOWED="The symbol is not on the list of allowed symbols.",
        SYMBOL_QUARANTINED="The symbol rests after repeated stop-outs.",
        PRICE_BAND="The price is too far from the mark.",
        REDUCE_ONLY="The order would increase the position.",
        NOTIONAL_TOO_LARGE="The order is worth more than one order may be.",
        INSUFFICIENT_FUNDS="The free balance does not cover the order.",
        SHORT_NOT_ALLOWED="Spot cannot be sold short.",
        EXPOSURE_SYMBOL_CAP="The exposure in this symbol would pass its cap.",
        EXPOSURE_TOTAL_CAP="The total exposure would pass its cap.",
        EXPOSURE_VENUE_CAP="The exposure at this venue would pass its cap.",
        STRATEGY_BUDGET_EXCEEDED="The strategy's budget does not cover the order.",
        LEVERAGE_LIMIT="The leverage would pass its limit.",
        EQUITY_FLOOR="Equity is below its floor.",
        EQUITY_DRAWDOWN="The drawdown from the peak is too large.",
        DAILY_LOSS="The day's loss is too large.",
        DUPLICATE_ORDER="The same order was sent a moment ago.",
        SELF_TRADE="The order would trade against our own.",
        RAIL_ABOVE_CEILING="The limit is looser than the file's ceiling.",
    ),
    **_codes(429, ORDER_RATE_EXCEEDED="Orders come too fast."),
    **_codes(
        503,
        VENUE_BREAKER_OPEN="The venue breaker is open.",
        PRICE_STALE="The mark price is too old.",
        PRICE_INVALID="There is no usable mark price.",
    ),
}

STATE: Mapping[str, CodeSpec] = {
    **_codes(
        404,
        NOT_FOUND="There is no such route.",
        ORDER_UNKNOWN="There is no such order.",
        SYMBOL_UNKNOWN="The venue does not list this symbol.",
        STRATEGY_UNKNOWN="There is no such strategy.",
        MODEL_UNKNOWN="There is no such model.",
    ),
    **_codes(
        409,
        CLIENT_ORDER_ID_EXISTS="The client order id was used before.",
        IDEMPOTENCY_IN_PROGRESS="The first request with this key is still running.",
        NOT_HALTED="Trading is not halted.",
        LEAGUE_FULL="The shadow league takes no more challengers.",
        ORDER_TERMINAL="The order has ended.",
        ORDER_BUSY="Something is being asked of the order right now.",
        ORDER_IN_DOUBT="The order's outcome is not known yet.",
        POSITION_STILL_HELD="Some of the position is still held: trades came meanwhile or are to come. Ask again.",
        RECONCILE_RUNNING="A reconciliation is running.",
    ),
    **_codes(412, VERSION_CONFLICT="The limits changed since they were read."),
    **_codes(
        400,
        VENUE_REJECTED="The venue refused the order.",
        VENUE_WOULD_TRIGGER="The stop price is passed already: the order would trigger at once.",
        VENUE_WOULD_TAKE="The post-only order would trade at once.",
        VENUE_FOK_NOT_FILLED="The fill-or-kill order could not be filled whole.",
        VENUE_REDUCE_ONLY="The venue found nothing to reduce.",
        VENUE_INSUFFICIENT_FUNDS="The venue found too little free balance.",
        VENUE_ORDER_TRADED="The order has traded meanwhile and works on as it is; ask for the change again.",
        VENUE_FILTER_FAILURE="The venue's trading rules refuse the order as written.",
    ),
    **_codes(
        503,
        NOT_READY="The engine is starting or recovering.",
        ENGINE_NOT_READY="The engine is starting or recovering.",
        VENUE_NOT_READY="The venue is not connected.",
        VENUE_UNREACHABLE="The venue was not reached; nothing was placed.",
        JOURNAL_UNAVAILABLE="The journal cannot be written; nothing is sent.",
        SHUTTING_DOWN="The engine is stopping.",
        SEND_TOO_LATE="The engine was held up before sending; nothing was placed.",
    ),
    **_codes(500, INTERNAL="The engine failed on this request; the log has the request id."),
}

CODES: Mapping[str, CodeSpec] = {**FRAMING, **ACCESS, **FIELDS, **RAILS, **STATE}

#: What an unlisted code of the venue or of a later version is answered as.
FALLBACK = CodeSpec(400, "The venue refused the order.")


def spec_of(code: str) -> CodeSpec:
    """Return the status and title of a code; a venue's own code answers 400."""
    return CODES.get(code, FALLBACK)

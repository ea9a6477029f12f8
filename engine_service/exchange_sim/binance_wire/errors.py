"""Refusals of the wire layer itself, in Binance's codes and words, and the body that carries any refusal.

What the matching engine refuses is worded in `exchange_sim.errors`; here are malformed requests, bad signatures
and exceeded limits.
"""

from __future__ import annotations

from engine_service.exchange_sim.errors import ExchangeError

INTEGER_RANGE = "^[0-9]{1,20}$"
DECIMAL_RANGE = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
BOOLEAN_RANGE = "^(true|false)$"
_AVOID_POLLING = "Please use WebSocket Streams for live updates to avoid "


class LimitExceeded(ExchangeError):
    """A rate limit: the answer carries `Retry-After` in whole seconds."""

    def __init__(self, code: int, message: str, http_status: int, retry_after_s: int) -> None:
        super().__init__(code, message, http_status)
        self.retry_after_s = retry_after_s


def body_of(error: ExchangeError) -> dict[str, object]:
    """The JSON object of a refusal."""
    body: dict[str, object] = {"code": error.code, "msg": error.message}
    if error.data is not None:
        body["data"] = error.data
    return body


def unknown_error() -> ExchangeError:
    """A defect of the exchange itself; the WebSocket API answers it in place of an HTTP 500."""
    return ExchangeError(-1000, "An unknown error occurred while processing the request.", 500)


def illegal_characters(name: str, legal_range: str) -> ExchangeError:
    return ExchangeError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal_range}'.")


def too_many_parameters(expected: int, received: int) -> ExchangeError:
    return ExchangeError(-1101, f"Too many parameters; expected '{expected}' and received '{received}'.")


def duplicate_values() -> ExchangeError:
    return ExchangeError(-1101, "Duplicate values for a parameter detected.")


def one_of_two(first: str, second: str) -> ExchangeError:
    return ExchangeError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def unread_parameters(read: int, sent: int) -> ExchangeError:
    return ExchangeError(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def empty_parameter(name: str) -> ExchangeError:
    return ExchangeError(-1105, f"Parameter '{name}' was empty.")


def too_much_precision(name: str) -> ExchangeError:
    """Spot's wording of BAD_PRECISION."""
    return ExchangeError(-1111, f"Parameter '{name}' has too much precision.")


def over_precision() -> ExchangeError:
    """USD-M's wording of BAD_PRECISION."""
    return ExchangeError(-1111, "Precision is over the maximum defined for this asset.")


def invalid_time_in_force() -> ExchangeError:
    return ExchangeError(-1115, "Invalid timeInForce.")


def invalid_order_type() -> ExchangeError:
    return ExchangeError(-1116, "Invalid orderType.")


def invalid_side() -> ExchangeError:
    return ExchangeError(-1117, "Invalid side.")


def bad_combination() -> ExchangeError:
    return ExchangeError(-1128, "Combination of optional parameters invalid.")


def invalid_data(name: str) -> ExchangeError:
    return ExchangeError(-1130, f"Data sent for parameter '{name}' is not valid.")


def invalid_time_unit() -> ExchangeError:
    return ExchangeError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")


def outside_window() -> ExchangeError:
    return ExchangeError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_server() -> ExchangeError:
    return ExchangeError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def invalid_signature() -> ExchangeError:
    return ExchangeError(-1022, "Signature for this request is not valid.")


def window_too_large() -> ExchangeError:
    return ExchangeError(-1131, "recvWindow must be less than 60000")


def key_format_invalid() -> ExchangeError:
    return ExchangeError(-2014, "API-key format invalid.", 401)


def key_rejected() -> ExchangeError:
    return ExchangeError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def too_much_weight(limit: int, retry_after_s: int) -> LimitExceeded:
    message = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        f"{_AVOID_POLLING}polling the API."
    )
    return LimitExceeded(-1003, message, 429, retry_after_s)


def banned(until_ms: int, retry_after_s: int) -> LimitExceeded:
    message = f"Way too much request weight used; IP banned until {until_ms}. {_AVOID_POLLING}bans."
    return LimitExceeded(-1003, message, 418, retry_after_s)


def too_many_orders(limit: int, interval: str, retry_after_s: int) -> LimitExceeded:
    """`interval` as in `10 SECOND`."""
    return LimitExceeded(
        -1015, f"Too many new orders; current limit is {limit} orders per {interval}.", 429, retry_after_s
    )


def listen_key_missing() -> ExchangeError:
    return ExchangeError(
        -1125,
        "This listenKey does not exist. Please use `POST /fapi/v1/listenKey` to recreate `listenKey`",
    )

"""Refusals in the venue's own codes and words."""

from __future__ import annotations


class ExchangeError(Exception):
    """A request that the exchange refuses, as Binance words it.

    Args:
        code: negative code of the venue's error table, for example -1013.
        message: the venue's `msg`.
        http_status: status of the HTTP answer.
        data: extra object some refusals carry under `data` (cancelReplace).
    """

    def __init__(self, code: int, message: str, http_status: int = 400, data: dict[str, object] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.http_status = http_status
        self.data = data


def invalid_symbol() -> ExchangeError:
    return ExchangeError(-1121, "Invalid symbol.")


def filter_failure(name: str) -> ExchangeError:
    return ExchangeError(-1013, f"Filter failure: {name}")


def order_rejected(reason: str) -> ExchangeError:
    """NEW_ORDER_REJECTED on spot, with the matching engine's reason."""
    return ExchangeError(-2010, reason)


def insufficient_balance() -> ExchangeError:
    return order_rejected("Account has insufficient balance for requested action.")


def insufficient_margin() -> ExchangeError:
    return ExchangeError(-2019, "Margin is insufficient.")


def unknown_order() -> ExchangeError:
    """CANCEL_REJECTED: nothing open under that id."""
    return ExchangeError(-2011, "Unknown order sent.")


def no_such_order() -> ExchangeError:
    return ExchangeError(-2013, "Order does not exist.")


def missing_parameter(name: str) -> ExchangeError:
    return ExchangeError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def unneeded_parameter(name: str) -> ExchangeError:
    return ExchangeError(-1106, f"Parameter '{name}' sent when not required.")

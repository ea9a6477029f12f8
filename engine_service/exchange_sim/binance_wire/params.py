"""Reading request parameters as Binance reads them: typed, with its error for each way to be wrong.

`Params` remembers which names were read, so that spot can refuse what it does not know (-1104). It is made from a
query string and a form body, or from the JSON object of the WebSocket API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from urllib.parse import unquote_plus

import orjson

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.errors import ExchangeError, missing_parameter

E = TypeVar("E", bound=StrEnum)
Refusal = Callable[[], ExchangeError]

SYMBOL_RANGE = "^[A-Z0-9-_.]{1,20}$"
SPOT_CLIENT_ID_RANGE = "^[a-zA-Z0-9-_]{1,36}$"
FUTURES_CLIENT_ID_RANGE = "^[\\.A-Z\\:/a-z0-9_-]{1,36}$"
_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_CLIENT_IDS = {
    SPOT_CLIENT_ID_RANGE: re.compile(r"[a-zA-Z0-9\-_]{1,36}"),
    FUTURES_CLIENT_ID_RANGE: re.compile(r"[.A-Z:/a-z0-9_\-]{1,36}"),
}
_INTEGER = re.compile(r"[0-9]{1,20}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_MICROSECOND_DIGITS = 16
_LARGEST_LONG = 2**63 - 1
_LAST_MS = 220_000_000_000_000  # in the year 8941; later times mean the same and overflow calendars
_SIGNING = ("timestamp", "recvWindow", "signature", "apiKey")


class Params:
    """The parameters of one request."""

    __slots__ = ("_read", "_values")

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self._read: set[str] = set()

    @classmethod
    def of_json(cls, params: Mapping[str, object]) -> Params:
        """From the `params` object of a WebSocket request."""
        return cls({name: _as_text(value) for name, value in params.items() if value is not None})

    @property
    def values(self) -> Mapping[str, str]:
        """Everything sent, undecorated."""
        return self._values

    def sent(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """The value, None when not sent. Raises -1105 when it was sent empty."""
        value = self._values.get(name)
        if value is None:
            return None
        self._read.add(name)
        if not value:
            raise errors.empty_parameter(name)
        return value

    def need_text(self, name: str) -> str:
        """Raises -1102 when missing or empty."""
        self._read.add(name)
        value = self._values.get(name)
        if not value:
            raise missing_parameter(name)
        return value

    def symbol(self) -> str:
        """The mandatory `symbol`."""
        return _checked_symbol(self.need_text("symbol"))

    def optional_symbol(self) -> str | None:
        value = self.text("symbol")
        return None if value is None else _checked_symbol(value)

    def symbols(self) -> list[str] | None:
        """`symbols` as a JSON list. Raises -1100 for another form, -1151 for a symbol twice."""
        return self.names("symbols")

    def names(self, name: str) -> list[str] | None:
        """A JSON list of upper-case names."""
        value = self.text(name)
        if value is None:
            return None
        legal = '^\\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\\]$'
        try:
            listed = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise errors.illegal_characters(name, legal) from None
        if not isinstance(listed, list) or not listed or not all(_is_symbol(item) for item in listed):
            raise errors.illegal_characters(name, legal)
        if len(set(listed)) != len(listed):
            raise ExchangeError(-1151, "Symbol is present multiple times in the list.")
        return listed

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if _INTEGER.fullmatch(value) is None:
            raise errors.illegal_characters(name, errors.INTEGER_RANGE)
        number = int(value)
        if number > _LARGEST_LONG:
            raise ExchangeError(-1108, f"Parameter '{name}' overflowed.")
        return number

    def need_integer(self, name: str) -> int:
        self.need_text(name)
        value = self.integer(name)
        assert value is not None  # noqa: S101 - need_text has just proved it
        return value

    def time_ms(self, name: str) -> int | None:
        """A point in time in ms; Binance also takes microseconds and tells them by their length."""
        value = self.integer(name)
        if value is None:
            return None
        return min(_LAST_MS, value // 1000 if value >= 10 ** (_MICROSECOND_DIGITS - 1) else value)

    def limit(self, default: int, maximum: int) -> int:
        """`limit`, capped at the maximum. Raises -1130 for zero."""
        value = self.integer("limit")
        if value is None:
            return default
        if value == 0:
            raise errors.invalid_data("limit")
        return min(value, maximum)

    def decimal(self, name: str) -> Decimal | None:
        value = self.text(name)
        if value is None:
            return None
        if _DECIMAL.fullmatch(value) is None:
            raise errors.illegal_characters(name, errors.DECIMAL_RANGE)
        return Decimal(value)

    def need_decimal(self, name: str) -> Decimal:
        self.need_text(name)
        value = self.decimal(name)
        assert value is not None  # noqa: S101 - need_text has just proved it
        return value

    def boolean(self, name: str, default: bool = False) -> bool:
        value = self.text(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise errors.illegal_characters(name, errors.BOOLEAN_RANGE)
        return value.lower() == "true"

    def choice(self, name: str, kinds: type[E], otherwise: Refusal | None = None) -> E | None:
        """An enum's value. Raises `otherwise` (default: -1130) for an unknown one."""
        value = self.text(name)
        if value is None:
            return None
        member = kinds.__members__.get(value)
        if member is None:
            raise otherwise() if otherwise is not None else errors.invalid_data(name)
        return member

    def need_choice(self, name: str, kinds: type[E], otherwise: Refusal | None = None) -> E:
        self.need_text(name)
        value = self.choice(name, kinds, otherwise)
        assert value is not None  # noqa: S101 - need_text has just proved it
        return value

    def client_id(self, name: str, legal_range: str) -> str | None:
        """A client order id within one of the `..._CLIENT_ID_RANGE` patterns."""
        value = self.text(name)
        if value is not None and _CLIENT_IDS[legal_range].fullmatch(value) is None:
            raise errors.illegal_characters(name, legal_range)
        return value

    def ignore(self, *names: str) -> None:
        """Count names as read: they are known but change nothing here."""
        self._read.update(names)

    def finish(self) -> None:
        """Raises -1101 or -1104 when something was sent that nobody read."""
        self.ignore(*_SIGNING)
        read, sent = len(self._read & self._values.keys()), len(self._values)
        if read == sent:
            return
        if read == 0:
            raise errors.too_many_parameters(0, sent)
        raise errors.unread_parameters(read, sent)


def parse_pairs(raw: str) -> dict[str, str]:
    """Decode one query string or form body. Raises -1101 for a name sent twice, -1100 for broken bytes."""
    values: dict[str, str] = {}
    for pair in raw.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = unquote_plus(name), unquote_plus(value)
        if name in values:
            raise errors.duplicate_values()
        values[name] = value
    return values


def one_id(params: Params, number: str, client: str, legal_range: str) -> tuple[int | None, str | None]:
    """The order a request means, by number or client id. Raises -1102 when neither was sent."""
    order_id = params.integer(number)
    client_id = params.client_id(client, legal_range)
    if order_id is None and client_id is None:
        raise errors.one_of_two(client, number)
    return order_id, client_id


def decimals_of(value: Decimal) -> int:
    """Decimals that carry something: 0.100 has one."""
    return max(0, -int(value.normalize().as_tuple().exponent))


def any_precision_over(values: Iterable[tuple[str, Decimal | None]], most: int) -> str | None:
    """The first name whose value has more than `most` decimals."""
    for name, value in values:
        if value is not None and decimals_of(value) > most:
            return name
    return None


def _checked_symbol(value: str) -> str:
    if _SYMBOL.fullmatch(value) is None:
        raise errors.illegal_characters("symbol", SYMBOL_RANGE)
    return value


def _is_symbol(value: object) -> bool:
    return isinstance(value, str) and _SYMBOL.fullmatch(value) is not None


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return orjson.dumps(value).decode()

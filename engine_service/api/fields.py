"""Read fields of a parsed body into domain types, each failure by its own code. Every unknown field is refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Set
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from typing import Any, TypeVar

from engine_service.api.body import NumberText
from engine_service.api.schema_parts import MAX_REASON
from engine_service.domain.errors import FieldError, InvalidRequest
from engine_service.domain.ids import instrument_id

_DECIMAL = re.compile(r"\d{1,18}(?:\.\d{1,18})?")
_NOT_FINITE = {"nan", "inf", "infinity", "-inf", "-infinity", "+inf"}
_LONGEST_NUMBER = 40

E = TypeVar("E", bound=Enum)
D = TypeVar("D")


def wrong(field: str, code: str, detail: str) -> InvalidRequest:
    """Return the error for one field."""
    return InvalidRequest(code, detail, errors=[FieldError(field[:40], code)])


class Fields:
    """One JSON object under examination. ``take_*`` removes a field; ``finish`` refuses what is left."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = dict(values)

    def expect(self, known: Set[str], required: Collection[str]) -> None:
        """Look at the shape before any value: no field that is not known, none of the required ones missing.

        Raises:
            InvalidRequest: ``FIELD_UNKNOWN``, ``FIELD_MISSING``.
        """
        if not self._values.keys() <= known:
            self._values = {name: value for name, value in self._values.items() if name not in known}
            self.finish()
        missing = [FieldError(name, "FIELD_MISSING") for name in required if self._values.get(name) is None]
        if missing:
            raise InvalidRequest("FIELD_MISSING", f"These are needed: {', '.join(required)}.", errors=missing)

    def finish(self) -> None:
        """Refuse unknown fields.

        Raises:
            InvalidRequest: ``FIELD_UNKNOWN``.
        """
        if self._values:
            names = sorted(name[:40] for name in self._values)[:5]
            raise InvalidRequest(
                "FIELD_UNKNOWN",
                "Fields that are not known here.",
                errors=[FieldError(n, "FIELD_UNKNOWN") for n in names],
            )

    @property
    def is_empty(self) -> bool:
        """True once every field was taken."""
        return not self._values

    def has(self, name: str) -> bool:
        """True where the field is there and not null."""
        return self._values.get(name) is not None

    def take_text(self, name: str, *, pattern: re.Pattern[str] | None = None, default: str | None = None) -> str:
        """Return a text field.

        Raises:
            InvalidRequest: missing without a default, not text, or not of the pattern.
        """
        value = self._values.pop(name, None)
        if value is None:
            return self._default(name, default)
        if not isinstance(value, str) or isinstance(value, NumberText):
            raise wrong(name, "FIELD_TYPE", "This field is text.")
        if len(value) > 256:
            raise wrong(name, "STRING_TOO_LONG", "A text may have 256 characters.")
        if pattern is not None and not pattern.fullmatch(value):
            raise wrong(name, "STRING_INVALID", f"Allowed here: {pattern.pattern.strip('^$')}.")
        return value

    def take_flag(self, name: str, *, default: bool | None = None) -> bool:
        """Return a boolean field; text such as ``"false"`` is refused, never guessed.

        Raises:
            InvalidRequest: missing without a default, or not a boolean.
        """
        value = self._values.pop(name, None)
        if value is None:
            return self._default(name, default)
        if not isinstance(value, bool):
            raise wrong(name, "FIELD_TYPE", "This field is true or false.")
        return value

    def take_decimal(self, name: str, *, not_positive: str | None = None) -> Decimal | None:
        """Return a money field, ``None`` when absent; ``not_positive`` is the code for zero.

        Raises:
            InvalidRequest: not a plain decimal of at most 18 digits either side of the point.
        """
        value = self._values.pop(name, None)
        if value is None:
            return None
        number = read_decimal(name, value, negative_code=not_positive)
        if not_positive is not None and number == 0:
            raise wrong(name, not_positive, "The number must be above zero.")
        return number

    def take_choice(self, name: str, choices: type[E], code: str, *, default: E | None = None) -> E:
        """Return one of an enumeration's values, written exactly so.

        Raises:
            InvalidRequest: ``code`` for anything else.
        """
        value = self._values.pop(name, None)
        if value is None:
            return self._default(name, default)
        by_value: Mapping[str, E] = _by_value(choices)
        found = by_value.get(value) if isinstance(value, str) else None
        if found is None:
            raise wrong(name, code, f"Allowed: {', '.join(map(str, by_value))}.")
        return found

    def take_symbol(self, name: str = "symbol") -> str:
        """Return an instrument key, case folded.

        Raises:
            InvalidRequest: ``SYMBOL_FORMAT``.
        """
        text = self._values.pop(name, None)
        if text is None:
            raise wrong(name, "FIELD_MISSING", "A field is missing.")
        if not isinstance(text, str) or isinstance(text, NumberText):
            raise wrong(name, "FIELD_TYPE", "This field is text.")
        return read_symbol(name, text)

    def take_reason(self) -> str:
        """Return why something is done, empty where nobody says.

        Raises:
            InvalidRequest: ``FIELD_TYPE``, ``STRING_TOO_LONG``.
        """
        reason = self.take_text("reason", default="").strip()
        if len(reason) > MAX_REASON:
            raise wrong("reason", "STRING_TOO_LONG", f"At most {MAX_REASON} characters.")
        return reason

    def take_any(self, name: str) -> Any:
        """Return a field as it stands, ``None`` when absent."""
        return self._values.pop(name, None)

    def forbid(self, names: Collection[str], code: str, detail: str) -> None:
        """Refuse fields that this route knows but cannot take.

        Raises:
            InvalidRequest: ``code``.
        """
        for name in names:
            if name in self._values:
                raise wrong(name, code, detail)

    def _default(self, name: str, default: D | None) -> D:
        if default is None:
            raise wrong(name, "FIELD_MISSING", "A field is missing.")
        return default


def read_decimal(name: str, value: Any, *, negative_code: str | None = None) -> Decimal:
    """Return a money value from text (or a JSON number's text).

    Raises:
        InvalidRequest: with the number codes.
    """
    if not isinstance(value, str):
        raise wrong(name, "FIELD_TYPE", "Write numbers as decimal text.")
    if _DECIMAL.fullmatch(value) and value.isascii():
        # 0.10 is 0.1: a request that is sent again with a zero more is the same request, under its key as well.
        return Decimal(value.rstrip("0").rstrip(".") if value[-1] == "0" and "." in value else value)
    if len(value) > _LONGEST_NUMBER:
        raise wrong(name, "NUMBER_TOO_LONG", f"A number may have {_LONGEST_NUMBER} characters.")
    if value.lower() in _NOT_FINITE:
        raise wrong(name, "NUMBER_NOT_FINITE", "The number must be finite.")
    if value.startswith("-") and _DECIMAL.fullmatch(value[1:]) and negative_code:
        raise wrong(name, negative_code, "The number must be above zero.")
    code = "NUMBER_OUT_OF_RANGE" if value.isascii() and value.isdigit() else "NUMBER_FORMAT"
    raise wrong(name, code, "Write digits with at most one point, up to 18 either side.")


def read_symbol(name: str, text: str) -> str:
    """Return an instrument key.

    Raises:
        InvalidRequest: ``SYMBOL_FORMAT``.
    """
    try:
        return _instrument_id(text)
    except ValueError as error:
        raise wrong(name, "SYMBOL_FORMAT", "Write BASEQUOTE.VENUE, for example BTCUSDT.BINANCE.") from error


#: Callers write few instruments, in few ways; what is none is not remembered.
_instrument_id = lru_cache(maxsize=4_096)(instrument_id)


@cache
def _by_value(choices: type[E]) -> Mapping[str, E]:
    return {choice.value: choice for choice in choices}

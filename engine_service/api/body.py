"""The strict reader of JSON bodies: what it lets through is plain, small, finite and says one thing only.

Numbers stay text until a schema reads them (``0.1`` is never a float), a key may stand once, and text holds only
characters that a person can see.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from engine_service.domain.errors import FieldError, InvalidRequest

MAX_BODY_BYTES = 16 * 1024
MAX_DEPTH = 8
MAX_NUMBER_LENGTH = 40
MAX_LIST_LENGTH = 20
MAX_STRING_LENGTH = 256
#: Text that shows nothing, or changes how its neighbours are shown.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})
#: Visible ASCII and the space, without the backslash.
_VISIBLE: Final = bytes(code for code in range(0x20, 0x7F) if chr(code) != "\\")
_FLAT: Final = msgspec.json.Decoder(dict[str, str])


class NumberText(str):
    """A JSON number exactly as it was written."""

    __slots__ = ()


def read_object(
    body: bytes, *, max_list: int = MAX_LIST_LENGTH, max_depth: int = MAX_DEPTH, any_exponent: bool = False
) -> dict[str, Any]:
    """Return the JSON object in ``body``; numbers come as ``NumberText``.

    ``any_exponent`` lets research numbers through (a probability may be 1e-40); money never needs them.

    Raises:
        InvalidRequest: with the codes of the framing and field tables; the message never holds input.
    """
    plain: dict[str, Any] | None = _plain_texts(body)
    if plain is not None:
        return plain
    return read_strictly(body, max_list=max_list, max_depth=max_depth, any_exponent=any_exponent)


def _plain_texts(body: bytes) -> dict[str, str] | None:
    """Return a flat object of visible ASCII texts, as honest orders are; ``None``: the strict reader has to look.

    The decoder takes the last of two equal keys. It cannot hide one here: without escapes each text has two quotes,
    so a pair that was dropped is missed in their number.
    """
    if body.translate(None, _VISIBLE):
        return None
    try:
        fields = _FLAT.decode(body)
    except msgspec.MsgspecError:
        return None
    return fields if body.count(b'"') == 4 * len(fields) else None


def read_strictly(
    body: bytes, *, max_list: int = MAX_LIST_LENGTH, max_depth: int = MAX_DEPTH, any_exponent: bool = False
) -> dict[str, Any]:
    """Return what ``read_object`` returns, at the length that any body needs.

    Raises:
        InvalidRequest: as ``read_object``.
    """
    text = _decoded(body)
    if text.count("{") + text.count("[") > max_depth and _depth(text) > max_depth:
        raise InvalidRequest("JSON_TOO_DEEP", f"Objects and lists may be nested {max_depth} deep.")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_float=_short_number if any_exponent else _number,
            parse_int=_number,
            parse_constant=_not_finite,
        )
    except json.JSONDecodeError as error:
        raise InvalidRequest("JSON_INVALID", f"Not JSON at character {error.pos}.") from error
    if not isinstance(value, dict):
        raise InvalidRequest("BODY_NOT_OBJECT", "The body must be a JSON object.")
    _check_texts(value, "", max_list)
    return value


def _decoded(body: bytes) -> str:
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InvalidRequest("JSON_BOM", "Send UTF-8 without a byte order mark.")
    if b"\0" in body[:4] and len(body) > 1:
        # JSON begins with ASCII: a zero among its first bytes is half of a wider character.
        raise InvalidRequest("BODY_NOT_UTF8", "Send UTF-8, not UTF-16 or UTF-32.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest("BODY_NOT_UTF8", f"Byte {error.start} is not UTF-8.") from error


def _depth(text: str) -> int:
    """Return the deepest nesting outside strings, before any parser recurses."""
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidRequest("JSON_DUPLICATE_KEY", "A key may stand once in an object.")
    return result


def _short_number(literal: str) -> NumberText:
    if len(literal) > MAX_NUMBER_LENGTH:
        raise InvalidRequest("NUMBER_TOO_LONG", f"A number may have {MAX_NUMBER_LENGTH} characters.")
    return NumberText(literal)


def _number(literal: str) -> NumberText:
    number = _short_number(literal)
    if "e" in literal or "E" in literal:
        exponent = Decimal(literal).adjusted() if abs(int(literal.lower().rpartition("e")[2])) < 10_000 else 10_000
        if abs(exponent) > 18:
            raise InvalidRequest("NUMBER_OUT_OF_RANGE", "A number must lie between 1e-18 and 1e18.")
    return number


def _not_finite(_literal: str) -> NumberText:
    raise InvalidRequest("NUMBER_NOT_FINITE", "NaN and Infinity are not numbers here.")


def _check_texts(value: Any, path: str, max_list: int) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            name = f"{path}.{key[:40]}" if path else key[:40]
            if not is_plain_text(key):
                raise InvalidRequest("STRING_INVALID", "A key holds characters that are not allowed.")
            _check_texts(item, name, max_list)
    elif isinstance(value, list):
        if len(value) > max_list:
            raise InvalidRequest(
                "LIST_TOO_LONG",
                f"A list may have {max_list} elements.",
                errors=[FieldError(path, "LIST_TOO_LONG")],
            )
        for item in value:
            _check_texts(item, path, max_list)
    elif isinstance(value, str) and not isinstance(value, NumberText) and not is_plain_text(value):
        raise InvalidRequest(
            "STRING_INVALID",
            "A text holds characters that are not allowed.",
            errors=[FieldError(path, "STRING_INVALID")],
        )


def is_plain_text(text: str) -> bool:
    """True where every character is visible and stands alone (no controls, bidi marks, zero widths, surrogates)."""
    return (text.isascii() and text.isprintable()) or not any(unicodedata.category(c) in _HIDDEN for c in text)

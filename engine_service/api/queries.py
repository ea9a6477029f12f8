"""Query parameters, read strictly: known names, once each, of the right form; and cursors that only we can make."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from starlette.requests import Request

from engine_service.api.body import is_plain_text
from engine_service.api.fields import read_symbol, wrong
from engine_service.api.schema_parts import FILTER_PATTERN
from engine_service.domain.errors import FieldError, InvalidRequest

_NAME = re.compile(FILTER_PATTERN)
MAX_LIMIT = 500
DEFAULT_LIMIT = 100
MAX_RANGE_MS = 31 * 24 * 3600 * 1000
MAX_MS = 10_000_000_000_000
#: Of events: the most that fifteen digits hold.
HIGHEST_SEQ = 10**15 - 1


class Query:
    """The parameters of one request; asking for an unknown or repeated one is refused at once."""

    def __init__(self, request: Request, *known: str) -> None:
        """Read the query string.

        Raises:
            InvalidRequest: ``QUERY_UNKNOWN``, ``QUERY_DUPLICATED``, ``STRING_INVALID``, or empty: ``QUERY_INVALID``.
        """
        self._values: dict[str, str] = {}
        if not request.scope["query_string"]:
            return
        for name, value in request.query_params.multi_items():
            if name not in known:
                raise InvalidRequest(
                    "QUERY_UNKNOWN",
                    f"Known here: {', '.join(known) or 'none'}.",
                    errors=[FieldError(name[:40], "QUERY_UNKNOWN")],
                )
            if name in self._values:
                raise wrong(name, "QUERY_DUPLICATED", "A parameter may stand once.")
            if not is_plain_text(value) or len(value) > 256:
                raise wrong(name, "STRING_INVALID", "The parameter holds characters that are not allowed.")
            if not value:
                # `DELETE /orders?symbol=` is a script whose variable was empty, not a wish to cancel everything.
                raise wrong(name, "QUERY_INVALID", "A parameter that stands has a value; leave it out instead.")
            self._values[name] = value

    def text(self, name: str) -> str:
        """Return a text, empty when absent."""
        return self._values.get(name, "")

    def name(self, name: str) -> str:
        """Return the name of a strategy or the id of an order, empty when absent.

        Raises:
            InvalidRequest: ``QUERY_INVALID``.
        """
        value = self.text(name)
        if value and not _NAME.fullmatch(value):
            raise wrong(name, "QUERY_INVALID", "A name has letters, digits and . _ : / - only, at most 64.")
        return value

    def symbol(self, name: str = "symbol") -> str:
        """Return an instrument key, empty when absent.

        Raises:
            InvalidRequest: ``SYMBOL_FORMAT``.
        """
        return read_symbol(name, self._values[name]) if self._values.get(name) else ""

    def flag(self, name: str) -> bool:
        """Return a ``true`` / ``false`` parameter, false when absent.

        Raises:
            InvalidRequest: ``QUERY_INVALID``.
        """
        value = self._values.get(name, "false")
        if value not in ("true", "false"):
            raise wrong(name, "QUERY_INVALID", "Write true or false.")
        return value == "true"

    def whole(self, name: str, default: int, highest: int, code: str = "QUERY_INVALID", lowest: int = 0) -> int:
        """Return a whole number within bounds.

        Raises:
            InvalidRequest: ``code``.
        """
        value = self._values.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 15) or not lowest <= int(value) <= highest:
            raise wrong(name, code, f"A whole number from {lowest} to {highest}.")
        return int(value)

    def limit(self) -> int:
        """Return the page size.

        Raises:
            InvalidRequest: ``LIMIT_RANGE``.
        """
        return self.whole("limit", DEFAULT_LIMIT, MAX_LIMIT, "LIMIT_RANGE", lowest=1)

    def span_ms(self, now_ms: int) -> tuple[int, int]:
        """Return (since, until) in epoch milliseconds, 0 where open; what is open reaches until ``now_ms``.

        Raises:
            InvalidRequest: ``QUERY_INVALID`` or ``RANGE_TOO_WIDE``.
        """
        since = self.whole("since_ms", 0, MAX_MS)
        until = self.whole("until_ms", 0, MAX_MS)
        if "since_ms" in self._values and (until if "until_ms" in self._values else now_ms) - since > MAX_RANGE_MS:
            field = "until_ms" if "until_ms" in self._values else "since_ms"
            raise wrong(field, "RANGE_TOO_WIDE", "At most 31 days; for more, page by cursor without since_ms.")
        return since, until


class Cursors:
    """Opaque page marks: a sequence number under an HMAC that also names the caller, the list and its filters."""

    def __init__(self, key: bytes, principal: str) -> None:
        self._key = key
        self._principal = principal

    def make(self, listing: str, filters: Mapping[str, str], seq: int) -> str:
        """Return the mark of a place in a list."""
        return f"{seq}-{self._tag(listing, filters, seq)}"

    def read(self, cursor: str, listing: str, filters: Mapping[str, str]) -> int:
        """Return the place, 0 for no cursor.

        Raises:
            InvalidRequest: ``CURSOR_INVALID``.
        """
        if not cursor:
            return 0
        place, _, tag = cursor.partition("-")
        sound = place.isascii() and place.isdigit() and len(place) <= 18
        if not sound or not hmac.compare_digest(tag, self._tag(listing, filters, int(place))):
            raise wrong("cursor", "CURSOR_INVALID", "Use the cursor of the page before, with the same filters.")
        return int(place)

    def _tag(self, listing: str, filters: Mapping[str, str], seq: int) -> str:
        named = (f"{key}={value}" for key, value in sorted(filters.items()))
        text = "|".join([self._principal, listing, str(seq), *named])
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:24]

"""An order may say when it was made: one that lay about too long on its way, or comes from the future, is refused.

A request that was answered before is answered again, however old it is: refusing it would hide what became of it.
"""

from __future__ import annotations

from typing import Any, Final

from engine_service.api.body import NumberText
from engine_service.api.fields import wrong
from engine_service.domain.errors import FieldError, InvalidRequest
from engine_service.domain.events import IdempotencyMark
from engine_service.execution.core import EngineCore

OLDEST_MS: Final = 5_000
AHEAD_MS: Final = 1_000
FIELD: Final = "timestamp"
_LONGEST: Final = 15


def take_timestamp(body: dict[str, Any]) -> int | None:
    """Remove and return when the caller made the request, epoch milliseconds; ``None`` where it does not say.

    Raises:
        InvalidRequest: ``FIELD_TYPE``: it is no whole number.
    """
    value = body.pop(FIELD, None)
    if value is None:
        return None
    if not isinstance(value, NumberText) or not (value.isascii() and value.isdigit() and len(value) <= _LONGEST):
        raise wrong(FIELD, "FIELD_TYPE", "A timestamp is a whole number of epoch milliseconds.")
    return int(value)


def refuse_untimely(core: EngineCore, mark: IdempotencyMark | None, made_ms: int | None) -> None:
    """Refuse an order that was made too long ago, or later than now; one that is only asked about has no key.

    Raises:
        InvalidRequest: ``REQUEST_STALE`` or ``REQUEST_FROM_FUTURE``; the key stays free.
    """
    if made_ms is None:
        return
    age_ms = core.clock.now_ms() - made_ms
    if -AHEAD_MS <= age_ms <= OLDEST_MS:
        return
    if mark is not None and core.journal.answer(mark.scope, mark.key) is not None:
        return
    code, limit = ("REQUEST_STALE", OLDEST_MS) if age_ms > 0 else ("REQUEST_FROM_FUTURE", AHEAD_MS)
    numbers = {"measured": str(abs(age_ms)), "limit": str(limit), "acceptable": str(limit)}
    raise InvalidRequest(code, "Look at both clocks, ms.", errors=[FieldError(FIELD, code)], numbers=numbers)

"""Errors by what the caller should do next. Every one carries a stable code, a cause and a way out.

EngineError
├── InvalidRequest      change the request
├── Refused             a rail said no; the numbers say why
├── VenueRefused        the venue said no
├── Conflict            the state does not allow it now
├── MethodNotAllowed    the route does not take the method
├── NotFound            there is no such thing
├── Unavailable         try again later
│   └── ShuttingDown    when the engine is back
└── ConfigurationError  an operator has to change a file or a flag
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request and the code of what is wrong with it."""

    field: str
    code: str


class EngineError(Exception):
    """Base of every error this engine raises on purpose."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        numbers: Mapping[str, str] | None = None,
        retry_after_s: int | None = None,
        location: str = "",
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.numbers = dict(numbers or {})
        self.retry_after_s = retry_after_s
        self.location = location


class InvalidRequest(EngineError):
    """The request can never work as written."""


class Refused(EngineError):
    """A rail refused the order; ``numbers`` holds what was measured and what would be accepted."""


class VenueRefused(EngineError):
    """The venue certainly did not take the order."""


class Conflict(EngineError):
    """The present state does not allow the request."""


class MethodNotAllowed(EngineError):
    """The thing is there, and cannot be asked this way; ``allowed`` names the ways."""

    def __init__(self, allowed: Collection[str]) -> None:
        # Whoever may have the answer may have its head alone.
        self.allowed = tuple(sorted({*allowed, "HEAD"} if "GET" in allowed else allowed))
        super().__init__("METHOD_NOT_ALLOWED", f"Allowed: {', '.join(self.allowed)}.")


class NotFound(EngineError):
    """There is no such thing, or it is not the caller's to see."""


class Unavailable(EngineError):
    """The engine cannot answer now; nothing was sent, or ``location`` names what is under way."""


class ShuttingDown(Unavailable):
    """The engine is stopping; ``what`` says what that means for the request, ``location`` which order is under way."""

    def __init__(self, what: str = "ask again when it is back", *, location: str = "") -> None:
        detail = f"The engine is stopping; {what}."
        super().__init__("SHUTTING_DOWN", detail, retry_after_s=5, location=location)


class ConfigurationError(EngineError):
    """A setting is wrong; nothing was started."""

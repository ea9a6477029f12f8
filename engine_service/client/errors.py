"""The client's errors, by what the caller should do next.

EngineClientError
├── EngineUnreachable     start the engine, or ask again later; nothing is known of an order that was being sent
├── RequestInvalid        change the request (400, 404, 409, 412, 413, 415, 422)
├── AccessRefused         use a token with the right scope (401, 403 with an access code)
├── OrderRefused          a rail said no; ``numbers`` say why (403, 423)
├── TryLater              ask again after ``retry_after_s`` (429, 503)
└── EngineFailed          a defect of the engine; its log has the request id (5xx)
"""

from __future__ import annotations

from collections.abc import Mapping


class EngineClientError(Exception):
    """Base of everything the client raises."""


class EngineUnreachable(EngineClientError):
    """No answer came."""


class EngineAnswered(EngineClientError):
    """The engine answered with a problem document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        request_id: str = "",
        numbers: Mapping[str, str] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.numbers = dict(numbers or {})
        self.retry_after_s = retry_after_s


class RequestInvalid(EngineAnswered):
    """The request cannot work as it is."""


class AccessRefused(EngineAnswered):
    """The token is missing, unknown or lacks the scope."""


class OrderRefused(EngineAnswered):
    """A rail refused the order."""


class TryLater(EngineAnswered):
    """The engine cannot do it now."""


class EngineFailed(EngineAnswered):
    """The engine failed."""

"""Control messages of the market streams: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY.

Refusals carry code and message both flat, as the documents write them, and under `error`, as the venue sends them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine_service.exchange_sim.enums import Market

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_MAX_ID_LENGTH = 36
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Control:
    """A valid control message."""

    method: str
    params: tuple[object, ...]
    request_id: int | str | None


class ControlError(Exception):
    """A control message that is refused.

    Args:
        code: 0 unknown property, 1 wrong value type, 2 invalid request, 3 invalid JSON.
        message: the venue's `msg`.
        request_id: the message's id, where it could be read.
    """

    def __init__(self, code: int, message: str, request_id: int | str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id

    def payload(self) -> dict[str, object]:
        """The answer to the client."""
        error = {"code": self.code, "msg": self.message}
        return {**error, "error": error, "id": self.request_id}


def answer(request_id: int | str | None, result: object) -> dict[str, object]:
    """The answer to a request that was carried out; `result` None for commands."""
    return {"result": result, "id": request_id}


def parse_control(text: str, market: Market) -> Control:
    """Read a control message.

    Raises:
        ControlError: not JSON, unknown method, id of a wrong type, wrong parameters.
    """
    try:
        message = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise ControlError(3, f"Invalid JSON: expected value at {where}") from error
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond all measure
        raise ControlError(3, "Invalid JSON: expected value at line 1 column 1") from error
    if not isinstance(message, dict):
        raise ControlError(2, "Invalid request: request must be an object")
    request_id = _request_id(message, market)
    method = _method(message, request_id, len(text))
    return Control(method, _params(message, method, request_id), request_id)


def _request_id(message: dict[str, object], market: Market) -> int | str | None:
    value = message.get("id")
    refused = ControlError(2, "Invalid request: request ID must be an unsigned integer")
    if value is None:
        return None
    if isinstance(value, bool):
        raise refused
    if isinstance(value, int) and -_INT64 <= value < _INT64 and (value >= 0 or market is Market.SPOT):
        return value
    if isinstance(value, str) and len(value) <= _MAX_ID_LENGTH:
        return value
    raise refused


def _method(message: dict[str, object], request_id: int | str | None, length: int) -> str:
    method = message.get("method")
    if method is None:
        raise ControlError(2, f"Invalid request: missing field `method` at line 1 column {length}", request_id)
    if method not in METHODS or not isinstance(method, str):
        known = ", ".join(f"`{name}`" for name in METHODS)
        said = f"Invalid request: unknown variant `{method}`, expected one of {known} at line 1 column {length}"
        raise ControlError(2, said, request_id)
    return method


def _params(message: dict[str, object], method: str, request_id: int | str | None) -> tuple[object, ...]:
    params = message.get("params", [])
    if not isinstance(params, list):
        raise ControlError(2, "Invalid request: params must be an array", request_id)
    if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
        return _stream_names(params, request_id)
    if method == "LIST_SUBSCRIPTIONS":
        if params:
            raise ControlError(2, "Invalid request: too many parameters", request_id)
        return ()
    return _property(params, method, request_id)


def _stream_names(params: list[object], request_id: int | str | None) -> tuple[object, ...]:
    if not params:
        raise ControlError(2, "Invalid request: params must not be empty", request_id)
    if not all(isinstance(name, str) and name for name in params):
        raise ControlError(2, "Invalid request: invalid stream", request_id)
    return tuple(params)


def _property(params: list[object], method: str, request_id: int | str | None) -> tuple[object, ...]:
    expected = 2 if method == "SET_PROPERTY" else 1
    if len(params) > expected:
        raise ControlError(2, "Invalid request: too many parameters", request_id)
    if not params or not isinstance(params[0], str):
        raise ControlError(2, "Invalid request: property name must be a string", request_id)
    if params[0] != "combined":
        raise ControlError(0, "Unknown property", request_id)
    if method == "SET_PROPERTY" and (len(params) < expected or not isinstance(params[1], bool)):
        raise ControlError(1, "Invalid value type: expected Boolean", request_id)
    return tuple(params)

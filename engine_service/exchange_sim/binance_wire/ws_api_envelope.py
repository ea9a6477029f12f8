"""Requests `{id, method, params}` and answers `{id, status, result | error, rateLimits}` of the WebSocket APIs."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec

from engine_service.exchange_sim.binance_wire import errors
from engine_service.exchange_sim.binance_wire.errors import LimitExceeded
from engine_service.exchange_sim.binance_wire.params import Params
from engine_service.exchange_sim.binance_wire.ws_text import TimeUnit
from engine_service.exchange_sim.errors import ExchangeError, missing_parameter
from engine_service.exchange_sim.faults import FaultAnswer

RequestId = int | str | None
_SHOW_LIMITS = "returnRateLimits"
_TIME_FIELDS = frozenset(
    ["time", "updateTime", "transactTime", "workingTime", "serverTime", "openTime", "closeTime", "T"]
)


class _Frame(msgspec.Struct):
    id: int | str
    method: str
    params: dict[str, int | str] = {}


_PLAIN = msgspec.json.Decoder(_Frame)


class Request(msgspec.Struct, frozen=True):
    """A well-formed request. `params` are all that it brought: the signature covers every one of them."""

    request_id: RequestId
    method: str
    params: Mapping[str, str]

    @property
    def wants_limits(self) -> bool | None:
        """Its own `returnRateLimits`; None when it leaves that to the connection."""
        wanted = self.params.get(_SHOW_LIMITS)
        return None if wanted is None else wanted == "true"

    @property
    def handler_params(self) -> dict[str, str]:
        """What is meant for the method itself."""
        return {name: value for name, value in self.params.items() if name != _SHOW_LIMITS}


class Reply(msgspec.Struct, frozen=True):
    """An answer without its rate limits; `followed_by` are messages to send right after it."""

    status: int
    content: Mapping[str, object]
    followed_by: tuple[object, ...] = ()


class BadRequest(Exception):
    """A frame that is no request. Carries what of its id could be read."""

    def __init__(self, request_id: RequestId, refusal: ExchangeError) -> None:
        super().__init__(refusal.message)
        self.request_id = request_id
        self.refusal = refusal


def parse_request(text: str) -> Request:
    """Read a frame. Numbers keep the digits in which they were written: the signature covers those.

    Raises:
        BadRequest: not a JSON object, no `id`, no `method`, or `params` that is no object.
    """
    frame = _plain_frame(text)
    if frame is not None:
        return frame
    return _any_frame(text)


def _plain_frame(text: str) -> Request | None:
    """Read a frame of texts and whole numbers, as nearly all are; None where it is anything else."""
    try:
        frame = _PLAIN.decode(text)
        params = {name: value if isinstance(value, str) else str(value) for name, value in frame.params.items()}
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return Request(frame.id, frame.method, params)


def _any_frame(text: str) -> Request:
    try:
        frame = json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:  # malformed, or a number or a nesting beyond all measure
        raise BadRequest(None, ExchangeError(-1135, "Invalid JSON Request")) from error
    if not isinstance(frame, dict):
        raise BadRequest(None, ExchangeError(-1135, "Invalid JSON Request"))
    request_id = frame.get("id")
    if "id" not in frame or isinstance(request_id, bool | list | dict):
        raise BadRequest(None, missing_parameter("id"))
    method, params = frame.get("method"), frame.get("params") or {}
    if not isinstance(method, str):
        raise BadRequest(request_id, missing_parameter("method"))
    if not isinstance(params, dict):
        raise BadRequest(request_id, ExchangeError(-1135, "JSON sent for parameter 'params' is not valid"))
    return Request(request_id, method, _values(request_id, params))


def _values(request_id: RequestId, params: Mapping[str, object]) -> Mapping[str, str]:
    """Parameters as text that can be signed."""
    try:
        values = Params.of_json(params).values
        "".join([*values, *values.values()]).encode()
    except (TypeError, UnicodeEncodeError) as error:  # half a surrogate pair, or an integer of any length
        raise BadRequest(request_id, ExchangeError(-1100, "Illegal characters found in a parameter.")) from error
    return values


def result_reply(result: object, unit: TimeUnit) -> Reply:
    """The answer to a request that was carried out."""
    return Reply(200, {"result": in_unit(result, unit)})


def error_reply(error: ExchangeError, now_ms: int) -> Reply:
    """The answer to a refused request; over a limit it says until when to wait."""
    body = errors.body_of(error)
    if isinstance(error, LimitExceeded):
        body["data"] = {"serverTime": now_ms, "retryAfter": now_ms + error.retry_after_s * 1000}
    return Reply(error.http_status, {"error": body})


def fault_reply(fault: FaultAnswer, now_ms: int) -> Reply:
    """The answer that a fault puts in the place of the real one."""
    body: dict[str, object] = {"code": fault.code, "msg": fault.message}
    if fault.retry_after_s is not None:
        body["data"] = {"serverTime": now_ms, "retryAfter": now_ms + fault.retry_after_s * 1000}
    return Reply(fault.http_status, {"error": body})


def in_unit(result: object, unit: TimeUnit) -> object:
    """The same result with its time stamps in another unit (klines: the two in each row)."""
    if unit == 1:
        return result
    if isinstance(result, dict):
        return {name: _scaled(name, value, unit) for name, value in result.items()}
    if isinstance(result, list):
        if len(result) == _KLINE_FIELDS and isinstance(result[0], int) and isinstance(result[6], int):
            return [result[0] * unit, *result[1:6], (result[6] + 1) * unit - 1, *result[7:]]
        return [in_unit(item, unit) for item in result]
    return result


_KLINE_FIELDS = 12


def _scaled(name: str, value: object, unit: TimeUnit) -> object:
    if name in _TIME_FIELDS and isinstance(value, int):
        return value * unit
    return in_unit(value, unit)

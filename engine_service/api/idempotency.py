"""The idempotency header: one key per intent, under the caller and the route."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from starlette.requests import Request

from engine_service.api.dependencies import principal_of
from engine_service.api.schema_parts import KEY_PATTERN
from engine_service.domain.errors import InvalidRequest
from engine_service.domain.events import IdempotencyMark
from engine_service.domain.order import OrderRequest
from engine_service.storage.codec import encode_canonical

_KEY = re.compile(KEY_PATTERN)


def optional_key(request: Request) -> str | None:
    """Return the key of a request that may come without one.

    Raises:
        InvalidRequest: the header is malformed, or its two spellings disagree.
    """
    headers: Mapping[bytes, bytes] = request.scope["state"]["headers"]
    plain, alias = headers.get(b"idempotency-key"), headers.get(b"x-idempotency-key")
    if plain is not None and alias is not None and plain != alias:
        raise InvalidRequest("HEADER_CONFLICT", "Idempotency-Key and X-Idempotency-Key differ.")
    sent = plain if plain is not None else alias
    if sent is None:
        return None
    key = sent.decode("ascii")
    if not _KEY.fullmatch(key):
        raise InvalidRequest("IDEMPOTENCY_KEY_INVALID", "8 to 128 characters of A-Z a-z 0-9 . _ : -")
    return key


def mark_of(request: Request, route: str, order: OrderRequest) -> IdempotencyMark:
    """Return the key of an order request with the fingerprint of its validated body.

    Raises:
        InvalidRequest: the header is missing, malformed, or its two spellings disagree.
    """
    key = optional_key(request)
    if key is None:
        raise InvalidRequest("IDEMPOTENCY_KEY_MISSING", "Send Idempotency-Key: a new one for each intent.")
    # No body can hold evidence: what an order was sent for is never part of what was asked.
    principal = principal_of(request).name
    return IdempotencyMark(
        scope=f"{principal}|{route}",
        key=key,
        fingerprint=hashlib.sha256(encode_canonical(order)).hexdigest(),
        principal=principal,
    )

"""Who calls: the bearer token of a request, and a limit to guessing at one."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from typing import Final

from engine_service.api.grants import OWN, Principal
from engine_service.api.tokens import TokenBook
from engine_service.domain.errors import InvalidRequest

FAILURES_PER_MINUTE: Final = 10
_MAX_REMEMBERED: Final = 64


class BearerCheck:
    """Identifies callers by their ``Authorization`` header."""

    def __init__(self, tokens: TokenBook) -> None:
        self._tokens = tokens
        self._failures: dict[str, deque[float]] = {}
        #: By the header's digest, as the book knows its tokens: how long a look-up takes tells nothing of a token.
        #: Only the engine's own, which hold as long as it runs; a named caller may be revoked at any time.
        self._known: dict[bytes, Principal] = {}

    def identify(self, authorization: bytes, peer: str) -> Principal:
        """Return who sent the header.

        Raises:
            InvalidRequest: ``TOKEN_MISSING``, ``TOKEN_INVALID``, or ``TOO_MANY_FAILURES`` of the peer.
        """
        digest = hashlib.sha256(authorization).digest()
        known = self._known.get(digest)
        if known is not None:
            return known
        kind, _, token = authorization.decode("ascii").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise InvalidRequest("TOKEN_MISSING", "Send Authorization: Bearer TOKEN; see tokens.json.")
        principal = self._tokens.identify(token.strip())
        if principal is None:
            raise self._failed(peer)
        if principal.name in OWN and len(self._known) < _MAX_REMEMBERED:
            self._known[digest] = principal
        return principal

    def _failed(self, peer: str) -> InvalidRequest:
        failures = self._failures.setdefault(peer, deque(maxlen=FAILURES_PER_MINUTE))
        now = time.monotonic()
        while failures and now - failures[0] > 60:
            failures.popleft()
        if len(failures) >= FAILURES_PER_MINUTE:
            return InvalidRequest("TOO_MANY_FAILURES", "Wait a minute.", retry_after_s=60)
        failures.append(now)
        return InvalidRequest("TOKEN_INVALID", "The token is not known to this engine.")

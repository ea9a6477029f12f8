"""Who may change something: the holder of the token in a file that only its owner can read."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

from fastapi.security import APIKeyHeader
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from governance.ops_api.problems import OpsRefused, problem

MIN_TOKEN_LENGTH = 32
#: Room for as many bars as one request may bring, written with all their digits.
MAX_BODY_BYTES = 2_000_000
OWN_HOSTS = frozenset({"127.0.0.1", "localhost"})


class TokenFileRefused(Exception):
    """The token file can be read by others, or holds a weak token."""


def load_or_create_token(path: Path) -> str:
    """Return the token, making the file (mode 0600) at the first start.

    Raises:
        TokenFileRefused: others can read the file, or its token is too short.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32))
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise TokenFileRefused(f"{path} has mode {mode:o}; run: chmod 600 {path}")
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < MIN_TOKEN_LENGTH:
        raise TokenFileRefused(f"{path}: the token needs {MIN_TOKEN_LENGTH} characters; remove it to make a new one")
    return token


class TokenRequired(APIKeyHeader):
    """The dependency of every route that changes something."""

    def __init__(self, token: str) -> None:
        super().__init__(
            name="X-OPS-TOKEN",
            scheme_name="token",
            description="The token in HOME/ops/token: whoever has it may do everything here.",
            auto_error=False,
        )
        self._token = token.encode()

    async def __call__(self, request: HTTPConnection) -> str:
        """Compare in constant time.

        Raises:
            OpsRefused: ``TOKEN_REQUIRED``.
        """
        given = await super().__call__(request) or ""
        if not hmac.compare_digest(self._token, given.encode("utf-8", "surrogatepass")):
            raise OpsRefused("TOKEN_REQUIRED", "Send the token of HOME/ops/token as X-OPS-TOKEN.")
        return given


class OwnHosts:
    """Refuses what is meant for another host: a page that made its own name point here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "").lower().split(":")[0]
            if host not in OWN_HOSTS:
                await problem("HOST_NOT_ALLOWED", "Call the ops API by 127.0.0.1 or localhost.")(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a body above ``MAX_BODY_BYTES`` before anyone parses it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > MAX_BODY_BYTES:
                detail = f"A body may have {MAX_BODY_BYTES} bytes."
                await problem("BODY_TOO_LARGE", detail)(scope, receive, send)
                return
            more = message.get("more_body", False)
        await self._app(scope, _replay(b"".join(chunks), receive), send)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again

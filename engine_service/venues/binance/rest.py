"""One HTTP request, sent at most once. No retries, no redirects, no proxies; bytes and time are bounded.

The one thing that matters to the caller is whether a byte may have left: ``NotSent`` is raised only for failures
that come before the first one (name look-up, connect, TLS, no free connection); all others are ``NoAnswer``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

MAX_ANSWER_BYTES = 2_000_000
MAX_BULK_BYTES = 64_000_000


class NotSent(Exception):
    """No byte of the request left this machine."""


class NoAnswer(Exception):
    """The request may have arrived, and nothing usable came back."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RestClient:
    """Persistent connections to one venue host.

    Args:
        base_url: scheme and host.
        api_key: sent as ``X-MBX-APIKEY`` where not empty.
        timeout_s: for a whole exchange; the venue itself gives up after 10 s.
    """

    def __init__(self, base_url: str, *, api_key: str = "", timeout_s: float = 12.0) -> None:
        headers = {"Accept-Encoding": "identity", "User-Agent": "nautilus-hmm"}
        if api_key:
            headers["X-MBX-APIKEY"] = api_key
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=3.0, pool=1.0),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=25.0),
            follow_redirects=False,
            trust_env=False,
            transport=None,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def send(self, method: str, path: str, query: str = "", *, max_bytes: int = MAX_ANSWER_BYTES) -> HttpAnswer:
        """Send one request and read its answer.

        Args:
            query: the encoded query string; everything Binance takes may travel there.
            max_bytes: a longer answer is dropped unread.

        Raises:
            NotSent: nothing left this machine.
            NoAnswer: something may have, and no complete answer came in time and size.
        """
        url = f"{self._base_url}{path}?{query}" if query else f"{self._base_url}{path}"
        request = self._client.build_request(method, url)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _read(response, max_bytes)
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(type(error).__name__) from error
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
            raise NoAnswer(type(error).__name__) from error
        return HttpAnswer(response.status_code, response.headers, body)


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        # Nothing compressed was asked for; unpacking it could fill the memory.
        raise NoAnswer("the answer is compressed")
    chunks, size = [], 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > max_bytes:
            raise NoAnswer(f"the answer is longer than {max_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)

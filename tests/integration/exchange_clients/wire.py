"""The bare protocol: sockets, signatures and frames, without any client library's opinion."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect

from tests.integration.simulated_exchange import SimulatedExchange

Frame = dict[str, Any]
Found = Callable[[Frame], bool]
_TIMEOUT_S = 15.0


class Socket:
    """A connection that sends and receives JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._ids = itertools.count(1)

    async def receive(self, timeout_s: float = _TIMEOUT_S) -> Any:
        """The next frame."""
        async with asyncio.timeout(timeout_s):
            return json.loads(await self.connection.recv())

    async def until(self, found: Found, timeout_s: float = _TIMEOUT_S) -> Frame:
        """The first frame that satisfies `found`; others are passed over."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame: Frame = json.loads(await self.connection.recv())
                if found(frame):
                    return frame

    async def silent(self, for_s: float) -> list[Frame]:
        """What arrives within a time: nothing, where silence is expected."""
        frames = []
        try:
            async with asyncio.timeout(for_s):
                while True:
                    frames.append(json.loads(await self.connection.recv()))
        except TimeoutError:
            return frames

    async def ask(self, method: str, params: object = None) -> Frame:
        """Send a request with a fresh id and return its answer."""
        number = next(self._ids)
        request: Frame = {"method": method, "id": number}
        if params is not None:
            request["params"] = params
        await self.connection.send(json.dumps(request))
        return await self.until(lambda frame: isinstance(frame, dict) and frame.get("id") == number)


@asynccontextmanager
async def open_socket(exchange: SimulatedExchange, path: str) -> AsyncIterator[Socket]:
    """Connect to a path of the exchange."""
    async with connect(f"{exchange.ws_url}{path}", compression=None, max_queue=None) as connection:
        yield Socket(connection)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def hmac_params(exchange: SimulatedExchange, **params: object) -> dict[str, object]:
    """Parameters of a signed WebSocket request with an HMAC key."""
    values = {**params, "apiKey": exchange.api_key, "timestamp": now_ms()}
    digest = hmac.new(exchange.api_secret.encode(), _payload(values), hashlib.sha256)
    return {**values, "signature": digest.hexdigest()}


def ed25519_params(key: Ed25519PrivateKey, api_key: str, **params: object) -> dict[str, object]:
    """Parameters of a signed WebSocket request with an Ed25519 key."""
    values = {**params, "apiKey": api_key, "timestamp": now_ms()}
    return {**values, "signature": base64.b64encode(key.sign(_payload(values))).decode()}


def _payload(values: dict[str, object]) -> bytes:
    return "&".join(f"{name}={values[name]}" for name in sorted(values)).encode()


class Rest:
    """Signed REST requests, for what the streams then report."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange
        self._http = httpx.Client(base_url=exchange.url, headers={"X-MBX-APIKEY": exchange.api_key}, timeout=10)

    def key_only(self, method: str, path: str) -> httpx.Response:
        """A request that needs a key and no signature."""
        return self._http.request(method, path)

    def signed(self, method: str, path: str, **params: object) -> Any:
        """A signed request's JSON answer."""
        query = str(
            httpx.QueryParams({name: str(value) for name, value in params.items()} | {"timestamp": str(now_ms())})
        )
        digest = hmac.new(self._exchange.api_secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        answer = self._http.request(method, f"{path}?{query}&signature={digest}")
        answer.raise_for_status()
        return answer.json()

    def buy(self, symbol: str, quantity: str, futures: bool = False) -> Frame:
        """A market order that fills."""
        path = "/fapi/v1/order" if futures else "/api/v3/order"
        fields = {"symbol": symbol, "side": "BUY", "type": "MARKET", "quantity": quantity}
        return dict(self.signed("POST", path, **fields))

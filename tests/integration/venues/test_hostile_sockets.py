"""An exchange that says anything on its sockets: nonsense beside an answer, events of no kind, frames of no JSON."""

from __future__ import annotations

import contextlib
from pathlib import Path

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve

from engine_service.domain.ids import Market
from engine_service.venues.binance.ws_api import OrderSocket
from engine_service.venues.reports import BalanceReport, StreamStatus
from tests.integration.venues.adapters import spot_venue
from tests.integration.venues.rig import eventually

pytestmark = pytest.mark.anyio

ODD_LIMITS = (
    '[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":"ten","limit":1,"count":1}]',
    '[{"rateLimitType":"ORDERS","interval":[],"intervalNum":{},"limit":null,"count":1}]',
    '{"rateLimitType":"ORDERS"}',
    "[null,[],7]",
)


@pytest.mark.parametrize("limits", ODD_LIMITS)
async def test_nonsense_beside_an_answer_on_the_order_socket_ends_nothing(limits: str) -> None:
    async def answer(socket: ServerConnection) -> None:
        async for message in socket:
            number = orjson.loads(message)["id"]
            for text in ("[1,", "[1]", '{"id":null,"status":400}', '{"id":"no-such","status":200,"result":{}}'):
                await socket.send(text)
            await socket.send(f'{{"id":"{number}","status":200,"result":{{"orderId":{number}}},"rateLimits":{limits}}}')

    async with serve(answer, "127.0.0.1", 0) as exchange:
        port = next(iter(exchange.sockets)).getsockname()[1]
        socket = OrderSocket(f"ws://127.0.0.1:{port}", Market.SPOT, timeout_s=2.0)
        socket.start()

        async def ready() -> bool:
            return socket.ready

        try:
            await eventually(ready, bool)
            for number in (1, 2, 3):
                assert (await socket.request("order.place", {}))[0] == {"orderId": number}
        finally:
            await socket.close()


@pytest.mark.parametrize("status", ["[]", "{}", '"200"', "null", "true", "1e400"])
async def test_an_answer_of_no_status_is_none_and_the_next_one_counts(status: str) -> None:
    async def answer(socket: ServerConnection) -> None:
        async for message in socket:
            number = orjson.loads(message)["id"]
            said = status if number == "1" else "200"
            await socket.send(f'{{"id":"{number}","status":{said},"result":{{"orderId":{number}}},"error":[]}}')

    async with serve(answer, "127.0.0.1", 0) as exchange:
        port = next(iter(exchange.sockets)).getsockname()[1]
        socket = OrderSocket(f"ws://127.0.0.1:{port}", Market.SPOT, timeout_s=1.0)
        socket.start()

        async def ready() -> bool:
            return socket.ready

        try:
            await eventually(ready, bool)
            first, _ = await socket.request("order.place", {})
            assert first != {"orderId": 1}
            assert (await socket.request("order.place", {}))[0] == {"orderId": 2}
        finally:
            await socket.close()


NO_EVENTS = (
    '{"e":["executionReport"]}', '{"e":{}}', '{"e":null}', "[]", '"x"', "7", "null", '{"e":"executionReport"}',
    '{"e":"executionReport","x":"NEW","X":"NEW","i":7,"o":[]}', '{"e":"executionReport","x":"TRADE","i":7,"o":[]}',
    '{"e":"balanceUpdate","a":"USDT","d":"NaN","T":1}', '{"e":"outboundAccountPosition","B":[{"a":1}]}',
)  # fmt: skip


async def test_events_that_cannot_be_read_do_not_end_the_user_stream(tmp_path: Path) -> None:
    async def tell(socket: ServerConnection) -> None:
        number = orjson.loads(await socket.recv())["id"]
        await socket.send(orjson.dumps({"id": number, "status": 200, "result": {}}).decode())
        for text in ("{broken", "[]", "7", b"\xff\xfe\x00"):
            await socket.send(text)
        for event in NO_EVENTS:
            await socket.send(f'{{"subscriptionId":0,"event":{event}}}')
        moved = '{"e":"balanceUpdate","a":"USDT","d":"12.5","T":1760000000000}'
        await socket.send(f'{{"subscriptionId":0,"event":{moved}}}')
        await socket.wait_closed()

    async with serve(tell, "127.0.0.1", 0) as exchange:
        port = next(iter(exchange.sockets)).getsockname()[1]
        venue = spot_venue(f"http://127.0.0.1:{port}", tmp_path)
        async with contextlib.aclosing(venue.user_events()) as events:
            assert await anext(events) == StreamStatus(stream="user", connected=True)
            told = await anext(events)
        assert isinstance(told, BalanceReport)
        assert told.kind == "transfer"
        await venue.close()

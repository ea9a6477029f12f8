"""A venue that answers anything: redirects, compressed bombs, endless bodies, pages, half answers, bad permissions."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from engine_service.domain.errors import ConfigurationError
from engine_service.domain.ids import Market
from engine_service.domain.order import Order
from engine_service.domain.order_status import OrderStatus, OrderType
from engine_service.venues.binance.futures import BinanceFutures
from engine_service.venues.binance.spot import BinanceSpot
from engine_service.venues.port import AmendRequest
from engine_service.venues.reports import Accepted, OrderReport, OutcomeUnknown, ReadFailed, Rejected
from tests.integration.venues.adapters import futures_venue, spot_venue
from tests.unit.engine_service.venues.builders import limit_order, market_order

pytestmark = pytest.mark.anyio
Answer = Callable[[str], bytes]


class HostileServer:
    """An HTTP server on a real socket that answers whatever it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = lambda path: http(404, b"{}")
        self.asked: list[str] = []
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head.split(" ")[1])
            writer.write(self.answer(head.split(" ")[1].partition("?")[0]))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def http(status: int, body: bytes, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
async def server() -> AsyncIterator[HostileServer]:
    server = HostileServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def venue(server: HostileServer, tmp_path: Path) -> AsyncIterator[BinanceSpot]:
    venue = spot_venue(server.url, tmp_path)
    yield venue
    await venue.close()


BAD_ANSWERS = {
    "a redirect": http(302, b"", Location="http://127.0.0.1:1/steal"),
    "a page": http(200, b"<html>welcome</html>"),
    "an error with a good status": http(200, b'{"code":-2010,"msg":"x"}'),
    "no order id": http(200, b'{"status":"FILLED"}'),
    "another order": http(200, b'{"orderId":1,"clientOrderId":"x","status":"FILLED","executedQty":"1","fills":[]}'),
    "a list": http(200, b"[]"),
    "half an answer": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"orderId": 1',
    "nothing": b"",
    "no http": b"SSH-2.0-OpenSSH_9\r\n",
    "a bomb": http(200, gzip.compress(b"0" * 50_000_000), Content_Encoding="gzip"),
    "three megabytes": http(200, b'{"orderId":1,"pad":"' + b"x" * 3_000_000 + b'"}'),
    "a NaN fill": http(
        200,
        orjson.dumps(
            {"orderId": 1, "status": "FILLED", "type": "MARKET", "fills": [{"tradeId": 1, "price": "NaN", "qty": "1"}]}
        ),
    ),
    "a negative fill": http(
        200,
        orjson.dumps(
            {"orderId": 1, "status": "FILLED", "type": "MARKET", "fills": [{"tradeId": 1, "price": "1", "qty": "-1"}]}
        ),
    ),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_an_answer_that_proves_nothing_leaves_the_order_in_doubt_and_is_sent_once(
    server: HostileServer, venue: BinanceSpot, name: str
) -> None:
    server.answer = lambda path: BAD_ANSWERS[name]
    assert isinstance(await venue.submit(market_order()), OutcomeUnknown)
    assert len(server.asked) == 1


@pytest.mark.parametrize("name", sorted(BAD_ANSWERS.keys() - {"a NaN fill", "a negative fill"}))
async def test_the_same_answers_to_a_query_are_no_evidence(
    server: HostileServer, venue: BinanceSpot, name: str
) -> None:
    server.answer = lambda path: BAD_ANSWERS[name]
    assert isinstance(await venue.query_order(market_order()), ReadFailed)


async def test_a_key_that_can_withdraw_is_refused_at_the_start(server: HostileServer, venue: BinanceSpot) -> None:
    def answer(path: str) -> bytes:
        if path.endswith("/time"):
            return http(200, b'{"serverTime":1760000000000}')
        return http(200, b'{"enableWithdrawals":true}')

    server.answer = answer
    with pytest.raises(ConfigurationError, match="VENUE_KEY_CAN_WITHDRAW"):
        await venue.open()


async def test_a_query_answered_with_somebody_elses_order_is_no_evidence(
    server: HostileServer, venue: BinanceSpot
) -> None:
    told = {
        "symbol": "BTCUSDT", "orderId": 28, "price": "0", "origQty": "0.001", "executedQty": "0.001",
        "status": "FILLED", "type": "MARKET", "side": "BUY", "time": 1760000000000,
    }  # fmt: skip
    order = market_order()
    for client_order_id, kind in (("somebody-elses", ReadFailed), (order.client_order_id, OrderReport)):
        body = orjson.dumps({**told, "clientOrderId": client_order_id})
        server.answer = lambda path, body=body: http(200, body)  # type: ignore[misc]  # bound now
        assert isinstance(await venue.query_order(order), kind)


async def test_a_replacement_refused_because_the_order_has_traded_leaves_no_doubt(
    server: HostileServer, venue: BinanceSpot
) -> None:
    body = b'{"code":-2011,"msg":"Order was not canceled due to cancel restrictions."}'
    server.answer = lambda path: http(400, body)
    wish = AmendRequest(order=limit_order(), limit_price=Decimal(31000), replacement_client_order_id="new1")
    outcome = await venue.amend(wish)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "VENUE_ORDER_TRADED"
    server.answer = lambda path: http(400, b'{"code":-2011,"msg":"Unknown order sent."}')
    assert isinstance(await venue.amend(wish), OutcomeUnknown)


GONE = (400, {"code": -2011, "msg": "Unknown order sent."})
TAKEN_BACK = (
    200,
    {"orderId": 28, "origClientOrderId": "ab12", "status": "CANCELED", "type": "LIMIT", "executedQty": "0.7"},
)
ALL_TRADED = (200, {**TAKEN_BACK[1], "executedQty": "1"})
NEW = (200, {"orderId": 29, "clientOrderId": "new1", "status": "NEW", "type": "LIMIT", "executedQty": "0", "fills": []})
REFUSED = (400, {"code": -2010, "msg": "Account has insufficient balance for requested action."})


@pytest.mark.parametrize(
    ("said", "asked", "expected"),
    [
        ((TAKEN_BACK, NEW), 2, ("29", OrderStatus.ACCEPTED)),
        ((TAKEN_BACK, REFUSED), 2, ("28", OrderStatus.CANCELED)),
        ((ALL_TRADED,), 1, ("28", OrderStatus.CANCELED)),
        ((GONE,), 1, "VENUE_UNKNOWN_ORDER"),
    ],
    ids=["placed anew", "the new one refused", "nothing left", "gone before"],
)
async def test_an_order_that_trades_is_replaced_by_what_its_cancel_leaves(
    server: HostileServer,
    venue: BinanceSpot,
    said: tuple[tuple[int, object], ...],
    asked: int,
    expected: tuple[str, OrderStatus] | str,
) -> None:
    server.answer = lambda path: http(said[len(server.asked) - 1][0], orjson.dumps(said[len(server.asked) - 1][1]))
    order = limit_order(filled_quantity=Decimal("0.4"))
    wish = AmendRequest(order=order, limit_price=Decimal(31000), replacement_client_order_id="new1")
    outcome = await venue.amend(wish)
    if isinstance(expected, str):
        assert isinstance(outcome, Rejected)
        assert outcome.code == expected
    else:
        assert isinstance(outcome, Accepted)
        assert (outcome.venue_order_id, outcome.status) == expected
    assert len(server.asked) == asked
    assert asked == 1 or "quantity=0.3&" in server.asked[1]


async def test_a_replacement_whose_cancel_took_too_long_is_not_placed(
    server: HostileServer, venue: BinanceSpot
) -> None:
    server.answer = lambda path: http(200, orjson.dumps(TAKEN_BACK[1]))
    order = limit_order(filled_quantity=Decimal("0.4"), fence_at_ms=venue.venue_time_ms() + 12_000)
    wish = AmendRequest(order=order, limit_price=Decimal(31000), replacement_client_order_id="new1")
    outcome = await venue.amend(wish)
    assert isinstance(outcome, Accepted)
    assert outcome.status is OrderStatus.CANCELED
    assert len(server.asked) == 1


@pytest.fixture
async def futures(server: HostileServer, tmp_path: Path) -> AsyncIterator[BinanceFutures]:
    venue = futures_venue(server.url, tmp_path)
    yield venue
    await venue.close()


def future(order_type: OrderType = OrderType.LIMIT) -> Order:
    return limit_order(market=Market.FUTURES, type=order_type, stop_price=Decimal(1), venue_order_id="28")


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP_MARKET])
async def test_answers_about_somebody_elses_order_settle_nothing(
    server: HostileServer, futures: BinanceFutures, kind: OrderType
) -> None:
    told = {
        "symbol": "BTCUSDT", "orderId": 29, "algoId": 29, "clientOrderId": "somebody-elses", "price": "0",
        "clientAlgoId": "somebody-elses", "origQty": "1", "executedQty": "0", "status": "CANCELED", "type": "LIMIT",
        "algoStatus": "CANCELED", "orderType": "STOP_MARKET", "side": "BUY", "quantity": "1",
    }  # fmt: skip
    server.answer = lambda path: http(200, orjson.dumps(told))
    order = future(kind)
    assert isinstance(await futures.cancel(order), OutcomeUnknown)
    assert isinstance(await futures.submit(order), OutcomeUnknown)
    assert isinstance(await futures.query_order(order), ReadFailed)
    if kind is OrderType.LIMIT:
        assert isinstance(await futures.amend(AmendRequest(order=order, limit_price=Decimal(2))), OutcomeUnknown)


async def test_an_amendment_answered_with_somebody_elses_order_is_in_doubt(
    server: HostileServer, venue: BinanceSpot
) -> None:
    told = {"orderId": 29, "clientOrderId": "somebody-elses", "status": "NEW", "type": "LIMIT", "executedQty": "0"}
    server.answer = lambda path: http(200, orjson.dumps({"amendedOrder": told}))
    smaller = AmendRequest(order=limit_order(), quantity=Decimal("0.5"))
    assert isinstance(await venue.amend(smaller), OutcomeUnknown)


async def test_trades_of_somebody_elses_order_are_no_evidence(
    server: HostileServer, venue: BinanceSpot, futures: BinanceFutures
) -> None:
    told = {
        "symbol": "BTCUSDT", "id": 5, "orderId": 29, "price": "1", "qty": "1", "commission": "0",
        "commissionAsset": "USDT", "time": 1760000000000, "isBuyer": True, "side": "BUY",
    }  # fmt: skip
    server.answer = lambda path: http(200, orjson.dumps([{**told, "orderId": 28}, told]))
    assert isinstance(await venue.query_fills(limit_order(venue_order_id="28")), ReadFailed)
    assert isinstance(await futures.query_fills(future()), ReadFailed)
    server.answer = lambda path: http(200, orjson.dumps([{**told, "orderId": 28}]))
    for found in (await venue.query_fills(limit_order(venue_order_id="28")), await futures.query_fills(future())):
        assert isinstance(found, tuple)
        assert [fill.trade_id for fill in found] == ["5"]

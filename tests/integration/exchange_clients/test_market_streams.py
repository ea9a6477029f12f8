"""Market streams over real sockets: paths, envelopes, control messages, speeds, bases and the end of a connection."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosed

from tests.integration.exchange_clients.wire import open_socket
from tests.integration.simulated_exchange import SimulatedExchange

pytestmark = pytest.mark.anyio


async def test_a_raw_path_delivers_bare_payloads_of_every_name_in_it(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws/btcusdt@trade/ethusdt@bookTicker") as socket:
        trade = await socket.until(lambda frame: frame.get("e") == "trade")
        quote = await socket.until(lambda frame: frame.get("s") == "ETHUSDT")
        assert trade["s"] == "BTCUSDT"
        assert Decimal(quote["b"]) < Decimal(quote["a"])


async def test_a_combined_path_wraps_payloads_with_their_stream(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/stream?streams=btcusdt@aggTrade/btcusdt@miniTicker") as socket:
        seen: dict[str, str] = {}
        while len(seen) < 2:
            frame = await socket.receive()
            seen[frame["stream"]] = frame["data"]["e"]
        assert seen == {"btcusdt@aggTrade": "aggTrade", "btcusdt@miniTicker": "24hrMiniTicker"}


async def test_each_second_closes_exactly_once_and_equals_the_rest_bar(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws/btcusdt@kline_1s") as socket:
        closed = [(await socket.until(lambda frame: frame["k"]["x"]))["k"] for _ in range(3)]
    assert [later["t"] - earlier["t"] for earlier, later in pairwise(closed)] == [1000, 1000]
    first = closed[0]
    query = {"symbol": "BTCUSDT", "interval": "1s", "startTime": first["t"], "limit": 1}
    [row] = exchange.public("/api/v3/klines", **query)
    assert row[:9] == [first[name] for name in ("t", "o", "h", "l", "c", "v", "T", "q", "n")]


async def test_a_client_subscribes_lists_and_unsubscribes(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws") as socket:
        names = ["btcusdt@trade", "ethusdt@trade"]
        assert await socket.ask("SUBSCRIBE", names) == {"result": None, "id": 1}
        assert (await socket.ask("LIST_SUBSCRIPTIONS"))["result"] == names
        await socket.ask("UNSUBSCRIBE", ["btcusdt@trade"])
        assert (await socket.ask("LIST_SUBSCRIPTIONS"))["result"] == ["ethusdt@trade"]
        assert {frame["s"] for frame in await socket.silent(2)} == {"ETHUSDT"}


async def test_the_combined_property_can_be_read_and_changed(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws/btcusdt@bookTicker") as socket:
        assert (await socket.ask("GET_PROPERTY", ["combined"]))["result"] is False
        await socket.ask("SET_PROPERTY", ["combined", True])
        frame = await socket.until(lambda frame: "id" not in frame)
        assert frame["stream"] == "btcusdt@bookTicker"


async def test_a_bad_control_message_is_answered_and_the_stream_goes_on(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws/btcusdt@bookTicker") as socket:
        await socket.connection.send("{no json")
        refused = await socket.until(lambda frame: "code" in frame)
        assert (refused["code"], refused["error"]["code"]) == (3, 3)
        assert "b" in await socket.until(lambda frame: "u" in frame)


async def test_unknown_names_are_accepted_and_silent(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws") as socket:
        answer = await socket.ask("SUBSCRIBE", ["nosuchcoin@trade", "BTCUSDT@trade", "btcusdt@nothing"])
        assert answer["result"] is None
        assert await socket.silent(1) == []


async def test_microseconds_are_delivered_on_request(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/stream?streams=btcusdt@trade&timeUnit=MICROSECOND") as socket:
        assert len(str((await socket.receive())["data"]["E"])) == 16


async def test_depth_updates_join_without_a_gap_and_reproduce_the_book(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws/btcusdt@depth@100ms") as socket:
        first = await socket.receive()
        snapshot = exchange.public("/api/v3/depth", symbol="BTCUSDT", limit=1000)
        updates = [first, *[await socket.receive() for _ in range(10)]]
    assert all(later["U"] == earlier["u"] + 1 for earlier, later in pairwise(updates))
    fresh = [update for update in updates if update["u"] > snapshot["lastUpdateId"]]
    assert fresh[0]["U"] <= snapshot["lastUpdateId"] + 1
    bids = dict(snapshot["bids"])
    asks = dict(snapshot["asks"])
    for update in fresh:
        apply(bids, update["b"])
        apply(asks, update["a"])
    assert max(map(Decimal, bids)) < min(map(Decimal, asks))


def apply(side: dict[str, str], changes: list[list[str]]) -> None:
    for price, quantity in changes:
        if Decimal(quantity):
            side[price] = quantity
        else:
            side.pop(price, None)


async def test_partial_books_have_the_asked_number_of_levels(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/stream?streams=btcusdt@depth5@100ms/btcusdt@depth20@100ms") as socket:
        sizes: dict[str, tuple[int, int]] = {}
        while len(sizes) < 2:
            frame = await socket.receive()
            sizes[frame["stream"]] = (len(frame["data"]["bids"]), len(frame["data"]["asks"]))
    assert sizes == {"btcusdt@depth5@100ms": (5, 5), "btcusdt@depth20@100ms": (20, 20)}


async def test_the_whole_market_arrives_as_one_array(exchange: SimulatedExchange) -> None:
    listed = {row["symbol"] for row in exchange.public("/api/v3/exchangeInfo")["symbols"]}
    async with open_socket(exchange, "/ws/!miniTicker@arr") as socket:
        rows = await socket.receive()
    assert {row["s"] for row in rows} == listed
    assert len(rows) == len(listed)


async def test_usdm_streams_come_from_the_base_of_their_kind_only(exchange: SimulatedExchange) -> None:
    names = "btcusdt@bookTicker/btcusdt@aggTrade/btcusdt@markPrice@1s/btcusdt@kline_1m"

    async def heard(base: str) -> set[str]:
        async with open_socket(exchange, f"/{base}/stream?streams={names}") as socket:
            return {frame["stream"] for frame in await socket.silent(3)}

    public, market = await asyncio.gather(heard("public"), heard("market"))
    assert public == {"btcusdt@bookTicker"}
    assert market == {"btcusdt@aggTrade", "btcusdt@markPrice@1s", "btcusdt@kline_1m"}


async def test_usdm_depth_names_the_update_before_it(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/public/ws/btcusdt@depth@100ms") as socket:
        updates = [await socket.receive() for _ in range(5)]
    assert all(later["pu"] == earlier["u"] for earlier, later in pairwise(updates))


async def test_the_exchange_pings_nobody_to_death(exchange: SimulatedExchange) -> None:
    async with open_socket(exchange, "/ws") as socket:
        pong = await socket.connection.ping(b"hello")
        async with asyncio.timeout(5):
            await pong


async def test_a_disconnect_fault_cuts_the_public_streams_of_its_market(exchange: SimulatedExchange) -> None:
    async with (
        open_socket(exchange, "/ws/btcusdt@trade") as spot,
        open_socket(exchange, "/public/ws/btcusdt@bookTicker") as futures,
    ):
        await spot.receive()
        exchange.faults("disconnect", market="spot", stream="public")
        with pytest.raises(ConnectionClosed):
            await spot.silent(5)
        await futures.receive()
        assert await futures.silent(0.5)

"""Readers that do not read, and scrapes that hang or come in floods: none of them holds up an order."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.engine.process import WIDE_LIMITS, EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange

BUY = {"symbol": "BTCUSDT.BINANCE", "side": "BUY", "quantity": "0.0002"}
SELL = {**BUY, "side": "SELL"}
NARROW = 65_536
#: The kernel alone keeps some four megabytes for a reader that takes nothing; an order is some kilobytes of events.
MOST_ORDERS, BATCH = 3_000, 100


@pytest.fixture(scope="module")
def engine(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """Trade on paper: many orders in little time."""
    paper = ("--strategies", "off", "--interval", "1s", "--venue", "paper", "--paper-latency-ms", "0")
    running = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url, paper).start()
    assert running.call("PUT", "/risk/config", json=WIDE_LIMITS).status_code == 200
    yield running
    assert running.stop() == 0


@contextlib.contextmanager
def asked(engine: EngineProcess, path: str, narrow: int = NARROW) -> Iterator[socket.socket]:
    """Open a connection, ask, and read nothing; a narrow window keeps the kernel from reading for us."""
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, narrow)
        reader.connect(("127.0.0.1", engine.port))
        reader.settimeout(20)
        reader.sendall(_request(engine, path))
        yield reader


def _request(engine: EngineProcess, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {engine.token('read')}\r\n\r\n".encode()


def orders(engine: EngineProcess, name: str, number: int) -> list[float]:
    """Place orders one after another and return how many seconds each took."""
    took = []
    bearer = {"Authorization": f"Bearer {engine.token('admin')}"}
    with httpx.Client(base_url=engine.url, headers=bearer, timeout=15, trust_env=False) as client:
        for count in range(number):
            began_s = time.perf_counter()
            key = {"Idempotency-Key": f"{name}-{count:05d}"}
            answer = client.post("/orders/market", json=(BUY, SELL)[count % 2], headers=key)
            took.append(time.perf_counter() - began_s)
            assert answer.status_code == 201, answer.text
    return took


def dropped(engine: EngineProcess) -> float:
    """Return how many readers were cut off."""
    text = engine.call("GET", "/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("nhmm_bus_dropped_total{"))


def test_a_scrape_tells_what_was_done_just_now(engine: EngineProcess) -> None:
    def placed() -> float:
        text = engine.call("GET", "/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("nhmm_fills_total{"))

    before = placed()
    orders(engine, "scraped-after", 2)
    assert placed() == before + 2


@pytest.mark.slow
def test_a_stream_that_is_not_read_is_dropped_while_orders_go_on(engine: EngineProcess) -> None:
    alone = statistics.median(orders(engine, "nobody-streams", 40))
    cut_before = dropped(engine)
    took: list[float] = []
    with asked(engine, "/stream") as deaf, asked(engine, "/stream", narrow=1 << 20) as keen:
        heard: list[bytes] = []
        threading.Thread(target=_listen, args=(keen, heard), daemon=True).start()
        while len(took) < MOST_ORDERS and dropped(engine) == cut_before:
            took += orders(engine, f"somebody-streams-{len(took)}", BATCH)
        assert dropped(engine) == cut_before + 1
        assert statistics.median(took) < 2 * alone + 0.005
        told = b"".join(heard)
        assert told.count(b"event: OrderFilled") == len(took), "a reader beside it misses nothing"
        told = _rest(deaf)
        assert b"event: dropped\ndata: " in told
        assert b"too slow; resume from the last event id" in told
        last = [int(line[4:]) for line in told.splitlines() if line.startswith(b"id: ")][-1]
    with asked(engine, f"/stream?after={last}", narrow=1 << 20) as again:
        first = again.recv(1 << 20) + again.recv(1 << 20)
        assert f"id: {last + 1}\n".encode() in first, "and goes on where it stopped"


def _listen(reader: socket.socket, heard: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        while part := reader.recv(1 << 20):
            heard.append(part)


def _rest(reader: socket.socket) -> bytes:
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    text = b""
    while not text.endswith(b"\r\n0\r\n\r\n"):
        part = reader.recv(1 << 16)
        assert part, text[-400:]
        text += part
    return text


@pytest.mark.slow
def test_scrapes_that_hang_or_flood_hold_up_no_order(engine: EngineProcess) -> None:
    alone = statistics.median(orders(engine, "nobody-scrapes", 60))
    with contextlib.ExitStack() as hanging:
        for _ in range(20):
            reader = hanging.enter_context(asked(engine, "/metrics"))
            reader.sendall(_request(engine, "/metrics") * 300)
        beside = statistics.median(orders(engine, "thousands-of-scrapes", 60))
        assert beside < 2 * alone + 0.015
        assert engine.call("GET", "/metrics").status_code == 200

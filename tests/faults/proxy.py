"""A TCP proxy that misbehaves on order, between the engine and the exchange."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

#: Closes with RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)
_SLOW_BYTES, _SLOW_S = 64, 0.02


class Mode(StrEnum):
    """What happens to bytes on their way."""

    PASS = "pass"
    STALL = "stall"
    DEAF = "deaf"
    MUTE = "mute"
    SLOW = "slow"
    GARBAGE = "garbage"
    REFUSE = "refuse"


@dataclass(eq=False)
class Proxy:
    """``mode`` may change at any time, also for connections that stand.

    ``STALL``: nothing passes. ``DEAF``: requests vanish. ``MUTE``: answers vanish. ``SLOW``: bytes dribble.
    ``GARBAGE``: a byte of each answer is flipped. ``REFUSE``: new connections are closed at once.
    """

    target: int
    mode: Mode = Mode.PASS
    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _pipes: set[asyncio.Task[None]] = field(default_factory=set)

    def cut(self) -> None:
        """Reset every connection that stands."""
        for writer in list(self._writers):
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def half_close(self) -> None:
        """End one direction of every connection: the engine reads the end and may still write."""
        for writer in list(self._writers):
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self.mode is Mode.REFUSE:
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        pipes = [
            asyncio.create_task(self._pipe(reader, far_writer, answers=False)),
            asyncio.create_task(self._pipe(far_reader, writer, answers=True)),
        ]
        self._pipes |= set(pipes)
        await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        for pipe in pipes:
            pipe.cancel()
        for each in (writer, far_writer):
            self._writers.discard(each)
            each.close()
        self._pipes -= set(pipes)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while data := await reader.read(65_536):
                await self._pass_on(data, writer, answers=answers)
        except OSError:
            return

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while self.mode is Mode.STALL:  # noqa: ASYNC110  # a mode is a plain value that a test sets
            await asyncio.sleep(0.05)
        if self.mode is (Mode.MUTE if answers else Mode.DEAF):
            return
        if self.mode is Mode.GARBAGE and answers:
            data = bytes([*data[:-1], data[-1] ^ 0x15])
        step = _SLOW_BYTES if self.mode is Mode.SLOW else len(data)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if self.mode is Mode.SLOW:
                await asyncio.sleep(_SLOW_S)

    def drop_all(self) -> None:
        """Forget what is under way."""
        self.cut()
        for pipe in self._pipes:
            pipe.cancel()


@asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """Stand before a port of this machine."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.drop_all()

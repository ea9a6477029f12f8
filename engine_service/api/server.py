"""The HTTP server of a process: one listener, bound before anything else starts, and uvicorn without its own habits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import uvicorn

from engine_service.api.gate import Gate
from engine_service.api.http_protocol import DeadlineProtocol
from engine_service.api.socket_protocol import LONGEST_MESSAGE, BoundedSocket

#: For so long connections that stand are still answered after the last one was let in.
FAREWELL_S = 0.3
_LOOKS = 6


class Server(uvicorn.Server):
    """uvicorn without its own signal handling: the process decides how it stops, and callers go with an answer."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """Close, once in ten ticks (a second), what is late."""
        if counter % 10 == 0:
            now_s = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, DeadlineProtocol):
                    connection.close_if_late(now_s)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody in, answer for a moment more who is in, then close what is silent."""
        # Between the last look at who waits and the close nothing may be awaited: who comes there would be reset.
        waiting = [caller for listener in sockets or () for caller in _waiting_at(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for caller in waiting:
            await self._let_in(caller)
        for _ in range(_LOOKS):
            for connection in list(self.server_state.connections):
                if isinstance(connection, DeadlineProtocol):
                    connection.leave()
            await asyncio.sleep(FAREWELL_S / _LOOKS)
        await super().shutdown()

    async def _let_in(self, caller: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # gone meanwhile
            await loop.connect_accepted_socket(
                lambda: DeadlineProtocol(self.config, self.server_state, self.lifespan.state), caller
            )


def _waiting_at(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections that the kernel has made and nobody has taken: closing the listener would reset them."""
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:  # nobody is left, or no descriptor
            return
        caller.setblocking(False)
        yield caller


def server_of(app: Gate) -> Server:
    """Return a server for an application behind its gate."""
    return Server(
        uvicorn.Config(
            app,
            http=DeadlineProtocol,
            ws=BoundedSocket,
            ws_max_size=LONGEST_MESSAGE,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # only this machine calls: a forwarded address is no better than its sender
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything else starts, so that a taken port is one clear line.

    Raises:
        OSError: the port cannot be had.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"port {port} is in use; choose another with --port") from error
    listener.listen(2048)
    listener.setblocking(False)
    return listener

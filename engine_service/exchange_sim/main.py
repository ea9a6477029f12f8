"""The exchange as a process: `python -m engine_service.exchange_sim`.

Exit codes: 0 ended by a signal, 1 it could not run (port taken), 2 usage, 4 configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Iterator, Sequence

import structlog
import uvicorn

from engine_service.domain.clock import SystemClock
from engine_service.exchange_sim.arguments import parse_arguments
from engine_service.exchange_sim.binance_wire.app import create_app
from engine_service.exchange_sim.binance_wire.weights import default_limits
from engine_service.exchange_sim.binance_wire.ws_frames import FramesProtocol
from engine_service.exchange_sim.binance_wire.ws_routes import StreamRoutes
from engine_service.exchange_sim.bootstrap import build_exchange
from engine_service.exchange_sim.config import ConfigError, ExchangeConfig
from engine_service.exchange_sim.ticker import run_ticker
from observability.log_config import configure

EXIT_FAILED = 1
EXIT_CONFIGURATION = 4
_BACKLOG = 512
_GRACE_S = 2
_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, bind, serve; returns the exit code."""
    configure(process="exchange")
    try:
        config = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        listener = _bind(config)
    except ConfigError as error:
        sys.stderr.write(f"exchange: {error}\n")
        return EXIT_CONFIGURATION
    except OSError as error:
        reason = error.strerror or str(error)
        sys.stderr.write(f"exchange: cannot serve on {config.host}:{config.port}: {reason}; choose --port\n")
        return EXIT_FAILED
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(_serve(config, listener))
    except ConfigError as error:
        sys.stderr.write(f"exchange: {error}\n")
        return EXIT_CONFIGURATION


def _new_loop() -> asyncio.AbstractEventLoop:
    # uvloop exists only on POSIX; elsewhere asyncio's own loop serves.
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _bind(config: ExchangeConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """uvicorn's server under our own signal handling; says `ready` once it serves."""

    def __init__(self, config: uvicorn.Config, url: str, streams: StreamRoutes) -> None:
        super().__init__(config)
        self._url = url
        self._streams = streams

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End with 0 on SIGTERM and SIGINT: uvicorn's own handling raises the signal again afterwards."""
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, self.handle_exit, stop, None)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Stream clients hear of the end before their sockets close, as the venue tells them.
        await self._streams.shut_down()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"ready {self._url}\n")
        sys.stdout.flush()


async def _serve(config: ExchangeConfig, listener: socket.socket) -> int:
    clock = SystemClock()
    exchange = build_exchange(config, clock)
    host = f"[{config.host}]" if ":" in config.host else config.host
    url = f"http://{host}:{config.port}"
    app = create_app(exchange, default_limits(config.limit_factor))
    settings = uvicorn.Config(
        app,
        http="httptools",
        ws=FramesProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        backlog=_BACKLOG,
    )
    server = _Server(settings, url, app.streams)
    # The history stays for the life of the process: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    ticker = asyncio.create_task(run_ticker(exchange, clock))
    ticker.add_done_callback(lambda task: _stop_on_failure(task, server))
    _log.info("exchange starts", url=url, seed=config.seed, bars=str(config.bars or "seeded"))
    await server.serve(sockets=[listener])
    failed = ticker.done() and not ticker.cancelled()
    ticker.cancel()
    return EXIT_FAILED if failed else 0


def _stop_on_failure(ticker: asyncio.Task[None], server: uvicorn.Server) -> None:
    """A market that stands still must not look alive: end the process when its task fails."""
    if ticker.cancelled():
        return
    _log.error("the market stopped", exc_info=ticker.exception())
    server.should_exit = True

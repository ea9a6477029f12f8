"""The exporter role: a second process with the trader's figures, read from its journal. It can do nothing else.

No venue keys are read, no lease is taken, no file is made; the tokens are the trader's own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from engine_service.api.callers import CallerFile
from engine_service.api.exporter_app import create_exporter_app
from engine_service.api.server import listen, server_of
from engine_service.api.tokens import TokenBook, load
from engine_service.bootstrap import VERSION, git_sha
from engine_service.domain.apply import IllegalEvent
from engine_service.domain.clock import SystemClock
from engine_service.domain.errors import ConfigurationError
from engine_service.runtime.journal_twin import JournalTwin
from engine_service.storage.codec import Undecodable
from engine_service.storage.layout import EngineFiles
from observability.log_config import configure

PORT: Final = 9103
HOST: Final = "127.0.0.1"
EXIT_FAILED: Final = 1
EXIT_CONFIGURATION: Final = 4
EXIT_CORRUPT: Final = 78
#: A trader that is starting makes its tokens within this time.
TOKENS_WITHIN_S: Final = 60.0


def run(home: Path | None, port: int | None) -> int:
    """Serve until a signal; return the exit code."""
    chosen = home or Path(os.environ.get("NHMM_HOME", "data"))
    configure("exporter", "INFO")
    try:
        listener = listen(HOST, PORT if port is None else port)
    except OSError as error:
        print(f"exporter: {error.strerror or error}", file=sys.stderr)
        return EXIT_FAILED
    return asyncio.run(_serve(EngineFiles(chosen), listener))


async def _serve(files: EngineFiles, listener: socket.socket) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        tokens = await _tokens(files, stopping)
    except ConfigurationError as error:
        print(f"exporter: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    twin = JournalTwin(files.journal, SystemClock(), {"version": VERSION, "git_sha": git_sha()})
    server = server_of(create_exporter_app(twin, tokens))
    serving = loop.create_task(server.serve(sockets=[listener]), name="http")
    following = loop.create_task(twin.run(), name="journal")
    stopped = loop.create_task(stopping.wait(), name="signals")
    host, port = listener.getsockname()[:2]
    print(f"ready http://{host}:{port}", flush=True)
    await asyncio.wait({serving, following, stopped}, return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if following.done() and not stopped.done():
        code = _explained(following.exception())
    for task in (following, stopped):
        task.cancel()
    server.should_exit = True
    await serving
    return code


async def _tokens(files: EngineFiles, stopping: asyncio.Event) -> TokenBook:
    """Return the trader's tokens, once it has made them.

    Raises:
        ConfigurationError: they did not come, or cannot be used.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TOKENS_WITHIN_S
    while not (files.tokens.exists() or stopping.is_set() or loop.time() > deadline):  # noqa: ASYNC110  # a file
        await asyncio.sleep(0.2)
    return TokenBook(load(files.tokens), CallerFile(files.callers))


def _explained(error: BaseException | None) -> int:
    if isinstance(error, Undecodable | IllegalEvent):
        print(f"exporter: the journal cannot be read: {error}. See: nhmm audit verify", file=sys.stderr)
        return EXIT_CORRUPT
    if error is not None:
        raise error
    return EXIT_FAILED

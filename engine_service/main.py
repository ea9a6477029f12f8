"""The engine's process: ``python -m engine_service.main``. Prints one ``ready`` line when it serves and may trade."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import decimal
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import structlog

from engine_service import exporter
from engine_service.api.app import create_app
from engine_service.api.callers import CallerFile, issue, revoke
from engine_service.api.callers import read as read_callers
from engine_service.api.grants import GRANTS
from engine_service.api.server import listen, server_of
from engine_service.api.tokens import TokenBook, load, load_or_create
from engine_service.bootstrap import EXIT_BY_CODE, VERSION, build, check_configuration, check_home
from engine_service.domain.clock import SystemClock
from engine_service.domain.errors import EngineError
from engine_service.domain.money import EXACT
from engine_service.runtime.drain import drain
from engine_service.runtime.lifecycle import start, stop
from engine_service.runtime.start_patience import given_up, until_started
from engine_service.settings import EngineSettings, default_config_dir, load_settings
from engine_service.venues.port import VenueUnavailable
from observability.log_config import configure
from observability.log_writer import drain as drain_log
from observability.variables import unknown_variables

SWITCH_S = 0.0005
CALLERS = "callers.json"
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 4

_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine; return the exit code."""
    flags = _parse(arguments)
    if flags.role == "exporter":
        return exporter.run(flags.home, flags.port)
    config_dir = flags.config or default_config_dir()
    try:
        settings = load_settings(_overrides(flags), os.environ, config_dir)
        check_configuration(config_dir)
        done = _errand(settings, flags)
        if done is not None:
            return done
        configure("engine", settings.log_level)
        for unknown in unknown_variables(os.environ):
            _log.warning("a variable changes nothing", reason=unknown)
        read_callers(settings.engine_folder / CALLERS)
        tokens = TokenBook(
            load_or_create(settings.engine_folder / "tokens.json"), CallerFile(settings.engine_folder / CALLERS)
        )
        listener = listen(settings.host, settings.port)
    except EngineError as error:
        _say(str(error))
        return EXIT_BY_CODE.get(error.code, EXIT_CONFIGURATION)
    except OSError as error:
        _say(": ".join(str(part) for part in (error.strerror or error, error.filename) if part))
        return EXIT_FAILED
    _leave_no_core()
    # Every sum here is exact; where the thread's own context is, nothing has to enter it again and again.
    decimal.setcontext(EXACT.copy())
    with uvicorn_loop() as runner:
        return runner.run(_serve(settings, config_dir, tokens, listener))


def _say(what: str) -> None:
    """Say why this ends, after everything that was logged before."""
    drain_log()
    print(f"engine: {what}", file=sys.stderr)


def _errand(settings: EngineSettings, flags: argparse.Namespace) -> int | None:
    """Do what needs no running engine and return the exit code; ``None`` where one is wanted.

    Raises:
        ConfigurationError, EngineError: what was looked at cannot be used.
    """
    if flags.check_config:
        print("configuration ok", file=sys.stderr)
        return 0
    if flags.check_home:
        return _check_home(settings)
    if flags.issue_token or flags.revoke_token:
        return _change_callers(settings.engine_folder / CALLERS, flags)
    return None


def _change_callers(path: Path, flags: argparse.Namespace) -> int:
    """Issue or revoke a named caller's token; a running engine takes notice within a second.

    Raises:
        ConfigurationError: the name, the scope or the file cannot be.
    """
    if flags.revoke_token:
        known = revoke(path, flags.revoke_token)
        _say(f"{flags.revoke_token} is {'revoked' if known else 'not a caller here'}")
        return 0 if known else EXIT_FAILED
    print(issue(path, flags.issue_token, flags.scope, flags.days, SystemClock().now_ms()))
    return 0


def _check_home(settings: EngineSettings) -> int:
    """Look at what a start would need of the data folder; errors are those of a start.

    Raises:
        ConfigurationError, EngineError: what a start would be refused for.
    """
    path = settings.engine_folder / "tokens.json"
    if path.exists():
        load(path)
    read_callers(path.with_name(CALLERS))
    halted = check_home(settings)
    if halted:
        print(f"halted: {halted}", file=sys.stderr)
    print("data folder ok", file=sys.stderr)
    return 0


@contextlib.contextmanager
def uvicorn_loop() -> Iterator[asyncio.Runner]:
    """Yield a runner on uvloop where it is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):
        from uvloop import new_event_loop  # noqa: PLC0415  # not on Windows

        factory = new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


async def _serve(settings: EngineSettings, config_dir: Path, tokens: TokenBook, listener: socket.socket) -> int:
    try:
        engine = await build(settings, config_dir)
    except EngineError as error:
        _say(str(error))
        return EXIT_BY_CODE.get(error.code, EXIT_CONFIGURATION)
    except OSError as error:
        _say(f"{error.strerror or error}: {error.filename or settings.home}")
        return EXIT_FAILED
    server = server_of(create_app(engine, tokens, VERSION))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = loop.create_task(server.serve(sockets=[listener]), name="http")
    starting = loop.create_task(start(engine, VERSION), name="start")
    stopped = loop.create_task(stopping.wait(), name="signals")
    code = 0
    try:
        began_s = loop.time()
        if not await until_started(engine.core, (starting, stopped, serving)):
            _say(given_up(engine.core, loop.time() - began_s))
            code = EXIT_FAILED
        elif starting.done():
            starting.result()
            _calm_collector()
            _share_the_interpreter()
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            print(f"ready http://{host}:{settings.port}", flush=True)
            failed = loop.create_task(engine.failed.wait(), name="failed")
            await asyncio.wait({stopped, serving, failed}, return_when=asyncio.FIRST_COMPLETED)
            code = EXIT_FAILED if engine.failed.is_set() or (serving.done() and not stopped.done()) else 0
    except VenueUnavailable as error:
        _say(f"the venue is not reached: {error}")
        code = EXIT_FAILED
    except EngineError as error:
        _say(str(error))
        code = EXIT_BY_CODE.get(error.code, EXIT_FAILED)
    finally:
        for task in (starting, stopped):
            task.cancel()
        await drain(engine)
        await stop(engine)
        server.should_exit = True
        await serving
    _log.info("engine stopped", exit_code=code)
    return code


def _leave_no_core() -> None:
    """Let no crash write this process's memory, which holds the venue's keys, to a disk."""
    with contextlib.suppress(ImportError):
        import resource  # noqa: PLC0415  # not on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _calm_collector() -> None:
    """Spare orders the pauses of the garbage collector: what is loaded now stays, and orders make few cycles.

    A look at 20,000 young objects is a pause of 10 ms, so it comes more often and is shorter.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 100)


def _share_the_interpreter() -> None:
    """Let the journal's writer have the interpreter soon: orders wait for it, and the usual turn lasts five times
    as long as a commit."""
    sys.setswitchinterval(SWITCH_S)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nhmm engine", description="The trading engine: orders, portfolio, journal.")
    parser.add_argument("--role", choices=("trader", "exporter"), default="trader", help="exporter: /metrics alone")
    parser.add_argument("--home", type=Path, help="data folder (default ./data)")
    parser.add_argument("--port", type=int, help=f"port to listen on (8003, the exporter {exporter.PORT})")
    parser.add_argument("--host", help="loopback address to listen on (127.0.0.1)")
    parser.add_argument("--venue", help="binance, binance-futures or paper")
    parser.add_argument("--venue-url", help="replaces every host of the venue")
    parser.add_argument("--paper-latency-ms", type=int, help="how long a paper order travels (20)")
    parser.add_argument("--interval", help="bar length, for example 1m (1s in the demo)")
    parser.add_argument("--symbols", help="instruments to watch, separated by commas")
    parser.add_argument("--strategies", choices=("on", "off"), help="whether the strategy loop runs")
    parser.add_argument("--config", type=Path, help="folder of the configuration files (config/)")
    parser.add_argument("--check-config", action="store_true", help="validate every file and stop")
    parser.add_argument("--check-home", action="store_true", help="look at the data folder as a start would, and stop")
    parser.add_argument("--issue-token", metavar="NAME", help="print a new token of a named caller, and stop")
    parser.add_argument("--scope", choices=tuple(GRANTS), default="read", help="what it may do")
    parser.add_argument("--days", type=int, default=0, help="how long it counts (0: for ever)")
    parser.add_argument("--revoke-token", metavar="NAME", help="let a named caller in no more, and stop")
    flags = parser.parse_args(arguments)
    if flags.role == "exporter":
        _refuse_traders_flags(parser, flags)
    return flags


def _refuse_traders_flags(parser: argparse.ArgumentParser, flags: argparse.Namespace) -> None:
    """Refuse what the exporter would not do: a host or a venue that is taken and forgotten looks as if it counted."""
    known = {"role", "home", "port"}
    given = [name for name, value in vars(flags).items() if name not in known and value != parser.get_default(name)]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        parser.error(f"the exporter listens on {exporter.HOST} and takes --home and --port alone, not {names}")


def _overrides(flags: argparse.Namespace) -> dict[str, Any]:
    values = vars(flags).copy()
    values.pop("config")
    values.pop("check_config")
    values.pop("check_home")
    for name in ("role", "issue_token", "revoke_token", "scope", "days"):
        values.pop(name)
    return values


if __name__ == "__main__":
    sys.exit(main())

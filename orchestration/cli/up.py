"""``nhmm up``: the whole platform in the foreground, with prefixed logs; it stands and falls as one."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from orchestration.cli.dagster_stack import Dagster, start_dagster
from orchestration.cli.layout import (
    CODE_SERVER_PORT,
    DAGSTER_PORT,
    ENGINE_PORT,
    EXCHANGE_PORT,
    Exit,
    Home,
    port_is_free,
    url,
)
from orchestration.cli.processes import ProcessFailed, ProcessGroup, StopRequested, stop_on_signals
from orchestration.cli.simulated import DEMO_INTERVAL, SIMULATED_KEYS, fresh_market, start_exchange

COLOURS = {"exchange": 36, "engine": 32, "code-server": 35, "webserver": 34, "daemon": 33}


def print_line(name: str, line: str) -> None:
    """Print one line of a process behind its name, coloured where a person watches."""
    label = f"{name:>11} |"
    if sys.stdout.isatty():
        label = f"\x1b[{COLOURS.get(name, 37)}m{label}\x1b[0m"
    sys.stdout.write(f"{label} {line}\n")
    sys.stdout.flush()


def run(home: Home, *, venue: str | None, venue_url: str | None, seed: int) -> int:
    """Run everything until Ctrl-C (exit 0) or until one process dies (its name, and exit 1)."""
    simulated = venue is None and not os.environ.get("NHMM_VENUE") and not os.environ.get("NHMM_VENUE_URL")
    taken = [
        port
        for port in (ENGINE_PORT, DAGSTER_PORT, CODE_SERVER_PORT, *([EXCHANGE_PORT] if simulated else []))
        if not port_is_free(port)
    ]
    if taken:
        print(f"nhmm: port {taken[0]} is in use; stop the other program (nhmm doctor lists them)", file=sys.stderr)
        return Exit.FAILED
    group = ProcessGroup(print_line)
    try:
        with stop_on_signals():
            _start_all(group, home, simulated=simulated, venue=venue, venue_url=venue_url, seed=seed)
            return _watch(group)
    except StopRequested:
        print_line("up", "stopping everything")
        return Exit.OK
    except ProcessFailed as failure:
        print_line("up", f"{failure}; stopping the others")
        return Exit.FAILED
    finally:
        group.stop()


def run_dagster(home: Home, port: int) -> int:
    """Run Dagster's three processes alone until Ctrl-C."""
    group = ProcessGroup(print_line)
    try:
        with stop_on_signals():
            environment = research_environment(home, os.environ.get("NHMM_VENUE_URL"), interval=None)
            prepare_dagster(home)
            start_dagster(group, home, environment, web_port=port, code_server_port=CODE_SERVER_PORT)
            print_line("up", f"Dagster: {url(port)}")
            return _watch(group)
    except StopRequested:
        return Exit.OK
    except ProcessFailed as failure:
        print_line("up", str(failure))
        return Exit.FAILED
    finally:
        group.stop()


def prepare_dagster(home: Home) -> None:
    """Make Dagster's configuration and databases before its processes start."""
    from orchestration.instance import prepare_instance  # noqa: PLC0415  # loads Dagster, so only where it is wanted

    prepare_instance(home.path)


def research_environment(
    home: Home, venue_url: str | None, *, interval: str | None, engine_port: int = ENGINE_PORT
) -> dict[str, str]:
    """Return the variables that point the Dagster processes at this engine and venue."""
    environment = {"NHMM_HOME": str(home.path), "NHMM_ENGINE_URL": url(engine_port)}
    if venue_url:
        environment["NHMM_VENUE_URL"] = venue_url
    if interval:
        environment["NHMM_BAR_INTERVAL"] = interval
    return environment


def engine_arguments(
    home: Home, venue: str, venue_url: str | None, interval: str | None, port: int, symbols: str = ""
) -> list[str]:
    """Return the command line of the engine."""
    arguments = ["-m", "engine_service.main", "--home", str(home.path), "--port", str(port), "--venue", venue]
    if venue_url:
        arguments += ["--venue-url", venue_url]
    if interval:
        arguments += ["--interval", interval]
    if symbols:
        arguments += ["--symbols", symbols]
    return arguments


def _start_all(
    group: ProcessGroup, home: Home, *, simulated: bool, venue: str | None, venue_url: str | None, seed: int
) -> None:
    keys: dict[str, str] = {}
    interval = None
    if simulated:
        venue, interval, keys = "binance", DEMO_INTERVAL, SIMULATED_KEYS
        venue_url = start_exchange(group, port=EXCHANGE_PORT, seed=seed, bars=None)
        fresh_market(home)
    prepare_dagster(home)
    research = research_environment(home, venue_url, interval=interval)
    start_dagster(group, home, research, web_port=DAGSTER_PORT, code_server_port=CODE_SERVER_PORT)
    chosen = venue or os.environ.get("NHMM_VENUE", "paper")
    engine = group.start("engine", engine_arguments(home, chosen, venue_url, interval, ENGINE_PORT), keys)
    group.wait_ready(engine, timeout_s=120)
    dagster = Dagster(DAGSTER_PORT)
    dagster.wait_loaded(group)
    dagster.close()
    print_line("up", f"engine {url(ENGINE_PORT)}/docs   Dagster {url(DAGSTER_PORT)}   Ctrl-C stops all")


def _watch(group: ProcessGroup) -> int:
    while True:
        group.require_alive()
        time.sleep(0.5)


def log_file_sink(folder: Path) -> ProcessGroup:
    """Return a group whose processes each write to their own file in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}

    def write(name: str, line: str) -> None:
        if name not in files:
            files[name] = (folder / f"{name}.log").open("w", encoding="utf-8", buffering=1)
        files[name].write(line + "\n")

    return ProcessGroup(write)

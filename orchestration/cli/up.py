"""``nhmm up``: the whole platform in the foreground, with prefixed logs; it stands and falls as one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from governance.dagster_runs import DagsterRefused, DagsterUnreachable
from orchestration.cli.dagster_stack import Dagster, start_dagster
from orchestration.cli.layout import ENGINE_PORT, Exit, Home, Ports, url
from orchestration.cli.preflight import (
    require_configuration,
    require_home,
    require_ports,
    require_research_configuration,
)
from orchestration.cli.processes import ProcessFailed, ProcessGroup, StopRequested, stop_on_signals
from orchestration.cli.simulated import (
    DEMO_INTERVAL,
    SIMULATED_KEYS,
    fresh_market,
    market_variables,
    note_market,
    refuse_simulated,
    start_exchange,
)

#: Longer than an engine waits by itself for a limit of the venue to pass: it ends with the better reason.
ENGINE_READY_S = 360.0
COLOURS = {"exchange": 36, "engine": 32, "code-server": 35, "webserver": 34, "daemon": 33}


def print_line(name: str, line: str) -> None:
    """Print one line of a process behind its name, coloured where a person watches."""
    label = f"{name:>11} |"
    if sys.stdout.isatty():
        label = f"\x1b[{COLOURS.get(name, 37)}m{label}\x1b[0m"
    sys.stdout.write(f"{label} {line}\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the person asked for. Without a venue, here or in the environment, it is the simulated exchange."""

    venue: str | None
    venue_url: str | None
    seed: int
    ports: Ports
    interval: str | None = None

    @property
    def interval_in_force(self) -> str | None:
        """Length of the bars of engine and research; ``None`` leaves it to their configuration."""
        return self.interval or (DEMO_INTERVAL if self.simulated else None)

    @property
    def simulated(self) -> bool:
        chosen = self.venue or self.venue_url or os.environ.get("NHMM_VENUE") or os.environ.get("NHMM_VENUE_URL")
        return not chosen

    @property
    def venue_in_force(self) -> str:
        return "binance" if self.simulated else self.venue or os.environ.get("NHMM_VENUE") or "paper"


def run(options: UpOptions, home: Home) -> int:
    """Run everything until Ctrl-C (exit 0) or until one process dies (its name, and exit 1).

    Raises:
        Refused: configuration, ports or data folder do not allow it; nothing was started.
    """
    ports = options.ports
    interval = options.interval_in_force
    engine = engine_arguments(home, options.venue_in_force, options.venue_url, interval, ports.engine)
    require_configuration(
        engine, research_environment(home, options.venue_url, interval=interval, venue=options.venue_in_force)
    )
    require_ports((ports.engine, ports.web, ports.code_server, *([ports.exchange] if options.simulated else [])))
    require_home(home)
    if not options.simulated:
        refuse_simulated(home)
    return _foreground(lambda group: _start_all(group, home, options))


def run_dagster(home: Home, ports: Ports) -> int:
    """Run Dagster's three processes alone until Ctrl-C.

    Raises:
        Refused: configuration, ports or data folder do not allow it; nothing was started.
    """
    market = market_variables(home)
    require_research_configuration({**os.environ, **market})
    require_ports((ports.web, ports.code_server))
    require_home(home)

    def start(group: ProcessGroup) -> None:
        environment = {"NHMM_HOME": str(home.path), **market}
        prepare_dagster(home)
        start_dagster(group, home, environment, web_port=ports.web, code_server_port=ports.code_server)
        wait_for_dagster(group, ports.web)
        print_line("up", f"Dagster {url(ports.web)}   Ctrl-C stops it")

    return _foreground(start)


def _foreground(start: Callable[[ProcessGroup], None]) -> int:
    """Start, watch, and whatever happens stop everything again."""
    group = ProcessGroup(print_line)
    try:
        with stop_on_signals():
            start(group)
            _watch(group)
    except StopRequested:
        print_line("up", "stopping everything")
        return Exit.OK
    except (ProcessFailed, DagsterRefused, DagsterUnreachable) as failure:
        print_line("up", f"{failure}; stopping the others")
        return Exit.FAILED
    finally:
        group.stop()


def prepare_dagster(home: Home) -> None:
    """Make Dagster's configuration and databases before its processes start."""
    from orchestration.instance import prepare_instance  # noqa: PLC0415  # loads Dagster, so only where it is wanted

    prepare_instance(home.path)


def research_environment(
    home: Home,
    venue_url: str | None,
    *,
    interval: str | None = None,
    engine_port: int = ENGINE_PORT,
    venue: str = "binance",
) -> dict[str, str]:
    """Return the variables that point the Dagster processes at this engine and venue."""
    environment = {"NHMM_HOME": str(home.path), "NHMM_ENGINE_URL": url(engine_port), "NHMM_VENUE": venue}
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


def _start_all(group: ProcessGroup, home: Home, options: UpOptions) -> None:
    ports, venue, venue_url = options.ports, options.venue_in_force, options.venue_url
    keys: dict[str, str] = {}
    interval = options.interval_in_force
    if options.simulated:
        keys = SIMULATED_KEYS
        fresh_market(home)
        venue_url = start_exchange(group, port=ports.exchange, seed=options.seed, bars=None)
    prepare_dagster(home)
    research = research_environment(home, venue_url, interval=interval, engine_port=ports.engine, venue=venue)
    if options.simulated:
        note_market(home, research)
    start_dagster(group, home, research, web_port=ports.web, code_server_port=ports.code_server)
    engine = group.start("engine", engine_arguments(home, venue, venue_url, interval, ports.engine), keys)
    group.wait_ready(engine, timeout_s=ENGINE_READY_S)
    wait_for_dagster(group, ports.web)
    print_line("up", f"engine {url(ports.engine)}/docs   Dagster {url(ports.web)}   Ctrl-C stops all")


def wait_for_dagster(group: ProcessGroup, port: int) -> None:
    """Wait until the web page serves the definitions.

    Raises:
        DagsterRefused: they do not load.
        ProcessFailed: a process ended meanwhile.
    """
    dagster = Dagster(port)
    try:
        dagster.wait_loaded(group)
    finally:
        dagster.close()


def _watch(group: ProcessGroup) -> NoReturn:
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

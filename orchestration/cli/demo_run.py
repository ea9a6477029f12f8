"""``nhmm demo``: the main job, end to end, on real parts: exchange, engine, Dagster, and what came of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from engine_service.client.errors import EngineClientError
from governance.dagster_runs import DagsterRefused, DagsterUnreachable
from orchestration.cli.dagster_stack import Dagster, StepNews, start_dagster
from orchestration.cli.demo_engine import DemoEngine, Sample
from orchestration.cli.demo_result import DemoResult, collect, promotion_told, write_report
from orchestration.cli.layout import DAGSTER_PORT, Exit, Home, Ports, url
from orchestration.cli.preflight import require_configuration, require_home
from orchestration.cli.processes import ProcessFailed, ProcessGroup, StopRequested, stop_on_signals
from orchestration.cli.simulated import (
    DEMO_INTERVAL,
    SIMULATED_KEYS,
    fresh_market,
    listed_symbols,
    note_market,
    start_exchange,
)
from orchestration.cli.up import engine_arguments, log_file_sink, prepare_dagster, research_environment

#: The limits that count bars by the clock, for bars that are sixty times shorter than usual.
ONE_SECOND_LIMITS = {"quarantine_window_min": "1", "quarantine_min": "1", "order_rate_per_min": "120"}
RUN_TIMEOUT_S = 480.0
READY_TIMEOUT_S = 90.0
#: Each symbol takes seconds to fit and to walk forward; more of them than this take longer than a demo should.
MOST_SYMBOLS = 8


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the person asked for."""

    seconds: int
    seed: int
    bars: Path | None
    keep: bool
    as_json: bool


class Progress:
    """One line per thing that happened, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Print one line to standard error, so that standard output stays the result's."""
        print(f"[{self.seconds:5.1f} s] {text}", file=sys.stderr, flush=True)

    def step(self, news: StepNews) -> None:
        """Tell of a finished Dagster step."""
        self.say(f"  dagster: {news.step} {'done' if news.ok else 'FAILED'}")


def run(options: DemoOptions, home: Home) -> int:
    """Run the demo; return the exit code. Everything it starts is stopped again, unless ``keep``.

    Raises:
        Refused: configuration or data folder do not allow it; nothing was started.
    """
    require_configuration(["-m", "engine_service.main", "--venue", "binance"], {"NHMM_VENUE": "binance"})
    require_home(home)
    progress = Progress()
    group = log_file_sink(home.demo / "logs")
    try:
        with stop_on_signals():
            result = _run(options, home, group, progress)
            _print(result, options, home)
            if options.keep:
                _stay(group, progress)
            return Exit.OK
    except StopRequested:
        progress.say("stopping everything")
        return Exit.OK if options.keep else Exit.FAILED
    except (ProcessFailed, DagsterRefused, DagsterUnreachable, EngineClientError) as failure:
        progress.say(f"failed: {failure}")
        progress.say(f"logs: {home.demo / 'logs'}")
        return Exit.FAILED
    finally:
        group.stop()


def _run(options: DemoOptions, home: Home, group: ProcessGroup, progress: Progress) -> DemoResult:
    ports = Ports.choose()
    fresh_market(home)
    venue_url = start_exchange(group, port=ports.exchange, seed=options.seed, bars=options.bars)
    progress.say(f"simulated exchange serves at {venue_url}")
    symbols = watched(listed_symbols(venue_url), progress)
    research = research_environment(home, venue_url, interval=DEMO_INTERVAL, engine_port=ports.engine)
    # The demo launches its own runs: a schedule that fired in between would only be in the way.
    # Recorded bars may be of any market: its turnover is not what decides.
    research |= {"NHMM_SYMBOLS": symbols, "NHMM_SCHEDULES": "off", "NHMM_MIN_TURNOVER": "0"}
    note_market(home, research)
    engine_process = group.start(
        "engine", engine_arguments(home, "binance", venue_url, DEMO_INTERVAL, ports.engine, symbols), SIMULATED_KEYS
    )
    # While the engine starts: this takes seconds too.
    prepare_dagster(home)
    start_dagster(group, home, research, web_port=ports.web, code_server_port=ports.code_server)
    engine_url = group.wait_ready(engine_process, READY_TIMEOUT_S)
    progress.say(f"engine is ready at {engine_url}")
    dagster = Dagster(ports.web)
    dagster.wait_loaded(group)
    progress.say(f"Dagster serves at {url(ports.web)}")

    engine = DemoEngine(engine_url, home, venue_url)
    _dagster_job(dagster, group, progress, "research_job", _history_days(engine))
    version = engine.model_version()
    engine.client.put_risk_config(ONE_SECOND_LIMITS, reason="bars of one second: an hour of bars passes in a minute")
    progress.say(f"model {version} is live" if version else f"no model is live: {promotion_told(home)}")
    progress.say(f"trading for {options.seconds} s")
    samples = _trade(engine, group, options.seconds, progress)
    engine.pause_strategies()
    _dagster_job(dagster, group, progress, "reconcile_job")
    _dagster_job(dagster, group, progress, "allocation_job")
    _dagster_job(dagster, group, progress, "parity_job")
    result = collect(engine, home, dagster.runs(), samples, progress.seconds, ports_urls(ports, home))
    write_report(result, home.demo / "report.html")
    if options.keep:
        engine.resume_strategies()
    engine.close()
    dagster.close()
    return result


def watched(listed: Sequence[str], progress: Progress) -> str:
    """Return what the demo watches, separated by commas; whatever it leaves out is named."""
    if left_out := listed[MOST_SYMBOLS:]:
        progress.say(f"watching the first {MOST_SYMBOLS} of {len(listed)} symbols, without {', '.join(left_out)}")
    return ",".join(listed[:MOST_SYMBOLS])


def _history_days(engine: DemoEngine) -> dict[str, str]:
    """Return the run tags that select the daily partitions the exchange's history touches."""
    first_ms, last_ms = engine.history_span_ms()
    days = [datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d") for at in (first_ms, last_ms)]
    return {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[1]}


def _dagster_job(
    dagster: Dagster, group: ProcessGroup, progress: Progress, job: str, tags: dict[str, str] | None = None
) -> None:
    progress.say(f"dagster: {job}")
    dagster.follow(dagster.launch(job, tags), group, progress.step, RUN_TIMEOUT_S)


def _trade(engine: DemoEngine, group: ProcessGroup, seconds: int, progress: Progress) -> list[Sample]:
    """Watch the engine trade; one sample a second, one line every ten."""
    samples: list[Sample] = []
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        group.require_alive()
        samples.append(engine.sample())
        if len(samples) % 10 == 1:
            last = samples[-1]
            progress.say(f"  {elapsed:3.0f} s: {last.orders} orders, {last.fills} fills, equity {last.equity}")
        time.sleep(max(0.0, began + len(samples) - time.monotonic()))
    return samples


def ports_urls(ports: Ports, home: Home) -> dict[str, str]:
    """Return what to open next, by name."""
    return {
        "dagster": url(ports.web),
        "engine": f"{url(ports.engine)}/docs",
        "exchange": f"{url(ports.exchange)}/_sim/ledger",
        "report": (home.demo / "report.html").as_uri(),
    }


def _print(result: DemoResult, options: DemoOptions, home: Home) -> None:
    console = Console(stderr=options.as_json, highlight=False)
    table = Table("what", "value", title="Nautilus HMM demo")
    for name, value in result.rows():
        table.add_row(name, value)
    console.print(table)
    console.print(f"Open {home.demo / 'report.html'}, or run `make up` and open {url(DAGSTER_PORT)}: the same runs.")
    if options.as_json:
        print(json.dumps(result.as_json()), flush=True)


def _stay(group: ProcessGroup, progress: Progress) -> None:
    progress.say("everything stays up; Ctrl-C stops it")
    while True:
        group.require_alive()
        time.sleep(0.5)

"""``make bench``: each figure beside a peer's from the same run on the same machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from tests.benchmarks import backfilling, endurance, filter_step, machine, orders, rails, recovery
from tests.benchmarks.goals import FULL, SAMPLE, Scale
from tests.benchmarks.page import RELIABILITY, SPEED, Aim, short, write_rows
from tests.benchmarks.row import Row

#: What is measured, under the name that ``--only`` takes.
MEASURES: Mapping[str, Callable[[Scale], dict[str, Row]]] = {
    "orders": lambda _scale: orders.measure(),
    "adapter": lambda _scale: orders.measure_adapter(),
    "rails": lambda _scale: rails.measure(),
    "pace": endurance.measure_open_loop,
    "memory": endurance.measure_memory,
    "filter": lambda _scale: filter_step.measure(),
    "backfill": lambda _scale: backfilling.measure(),
    "recovery": lambda _scale: recovery.measure(),
}
#: What each row is against, and its goal: below it, above it. A ratio of times is better below 1, every other above.
AIMS: Mapping[str, Aim] = {
    "orders_http": Aim("durable market orders against a bare FastAPI POST, 64 connections", ">= 1"),
    "orders_http_p99": Aim("99th percentile at half load against the bare POST's there plus one fsync", "<= 1.5"),
    "orders_adapter": Aim("the same through the Binance adapter to the simulated exchange", ">= 0.4"),
    "rails": Aim("orders judged by every rail, 500 instruments, 1,000 open orders, against the goal", ">= 1"),
    "open_loop": Aim("500 orders/s whatever the answers do: 99th percentile to the disk, against the goal", "<= 1"),
    "memory_growth": Aim("resident memory after many orders against that after few", "<= 1.5"),
    "memory_growth_p99": Aim("99th percentile of the last orders against that of the first", "unchanged"),
    "recovery_1m": Aim("a process started on a journal of a million events against what is promised", "<= 1"),
    "replay_1m": Aim("the same journal from its first event, against what is promised"),
    "filter_step": Aim("one bar of the live filter against predict_proba on a 256-bar window", ">= 50"),
    "backfill": Aim("bars stored against klines as fast as the exchange serves them"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything, then print a table, or with ``--json`` one object on the last line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--full", action="store_true", help="long rows at full length: a million orders")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/reliability.md")
    parser.add_argument("--only", help=f"some of {','.join(MEASURES)}, separated by commas")
    options = parser.parse_args(arguments)
    wanted = options.only.split(",") if options.only else list(MEASURES)
    if unknown := set(wanted) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    console = Console(stderr=options.json, highlight=False)
    place = list(machine.describe())
    rows: dict[str, Row] = {}
    for name in wanted:
        found = MEASURES[name](FULL if options.full else SAMPLE)
        rows |= found
        for row_name, row in found.items():
            print(f"{row_name} {short(row.ours)} {short(row.peer)} {row.ratio:.3g}", file=sys.stderr, flush=True)
    console.print(_table(rows))
    for name, row in rows.items():
        console.print(f"{name}: {AIMS[name].against}" + (f" ({row.note})" if row.note else ""))
    for name, value in place:
        console.print(f"{name}: {value}")
    if options.write:
        write_rows(rows, AIMS, place, page=RELIABILITY, block=SPEED, notes=True)
    if options.json:
        print(json.dumps({name: row.as_json() for name, row in rows.items()}), flush=True)
    return 0


def _table(rows: dict[str, Row]) -> Table:
    table = Table("row", "ours", "peer", "ratio", "unit")
    for name, row in rows.items():
        table.add_row(name, short(row.ours), short(row.peer), f"{row.ratio:.3g}", row.unit)
    return table


if __name__ == "__main__":
    sys.exit(main())

"""``make bench``: each figure beside a peer's from the same run on the same machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.benchmarks import backfilling, filter_step, machine, orders, recovery
from tests.benchmarks.row import Row

MEASURES = (orders.measure, filter_step.measure, backfilling.measure, recovery.measure)
PEERS = {
    "orders_http": "durable market orders against a bare FastAPI POST, 64 connections",
    "orders_http_p99": "the same requests' 99th percentile",
    "filter_step": "one bar of the live filter against predict_proba on a 256-bar window",
    "backfill": "bars stored against klines as fast as the exchange serves them",
    "recovery_1m": "a process started on a journal of a million events against what is promised",
    "replay_1m": "the same journal from its first event, against what is promised",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything, then print a table, or with ``--json`` one object on the last line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    options = parser.parse_args(arguments)
    console = Console(stderr=options.json, highlight=False)
    place = list(machine.describe())
    rows: dict[str, Row] = {}
    for measure in MEASURES:
        rows |= measure()
    console.print(_table(rows))
    for name, peer in PEERS.items():
        console.print(f"{name}: {peer}")
    for name, value in place:
        console.print(f"{name}: {value}")
    if options.json:
        print(json.dumps({name: row.as_json() for name, row in rows.items()}), flush=True)
    return 0


def _table(rows: dict[str, Row]) -> Table:
    table = Table("row", "ours", "peer", "ratio", "unit")
    for name, row in rows.items():
        table.add_row(name, _short(row.ours), _short(row.peer), f"{row.ratio:.3g}", row.unit)
    return table


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())

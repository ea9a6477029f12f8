"""``make bench-research``: the research half beside its peers, in one run on one machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import machine
from tests.benchmarks.page import short
from tests.benchmarks.row import Row
from tests.research_benchmarks import page
from tests.research_benchmarks.peers import PeerMissing
from tests.research_benchmarks.registry import rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, then print a table, or with ``--json`` one object on the last line.

    A row whose peer cannot be installed is named on standard error and left out; the exit code is then 1.
    """
    known = rows()
    parser = argparse.ArgumentParser(prog="make bench-research", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--only", action="extend", nargs="+", choices=sorted(known), metavar="ROW", help="these rows")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/research.md")
    parser.add_argument("--economics", type=Path, metavar="BARS", help="judge this file of bars into docs/research.md")
    options = parser.parse_args(arguments)
    if options.economics is not None:
        page.write_economics(options.economics)
        return 0
    console = Console(stderr=options.json, highlight=False)
    measured: dict[str, Row] = {}
    wanted = list(dict.fromkeys(options.only or known))
    for name in wanted:
        try:
            measured[name] = known[name]()
        except PeerMissing as missing:
            print(f"{name}: {missing}", file=sys.stderr)
    console.print(_table(measured))
    described = list(machine.describe())
    for name, value in described:
        console.print(f"{name}: {value}")
    if options.write:
        page.write_rows(measured, described)
    if options.json:
        print(json.dumps({name: row.as_json() for name, row in measured.items()}), flush=True)
    return 0 if len(measured) == len(wanted) else 1


def _table(measured: dict[str, Row]) -> Table:
    table = Table("row", "ours", "peer", "ratio", "unit")
    for name, row in measured.items():
        table.add_row(name, short(row.ours), short(row.peer), f"{row.ratio:.3g}", row.unit)
    return table


if __name__ == "__main__":
    sys.exit(main())

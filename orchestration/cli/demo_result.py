"""What the demo prints and draws, gathered from the engine, the exchange, the tables and Dagster."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestration.cli.demo_engine import DemoEngine, Sample
from orchestration.cli.layout import Home
from orchestration.cli.report import FillMark, RegimeRow, ReportData, SymbolStory, render
from orchestration.cli.scoring import agreement
from orchestration.cli.training_labels import labels_on_training_span, regime_names


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The figures of one demo, under the names that scripts read. Money is decimal text."""

    seconds: float
    bars: int
    symbols_traded: list[str]
    orders: int
    fills: int
    rejected: dict[str, int]
    fees: str
    realised_pnl: str
    unrealised_pnl: str
    equity: str
    regime_agreement: float | None
    model_version: str
    promotion: str
    runs: dict[str, int]
    breaks: int
    alerts: int
    parity: dict[str, float]
    urls: dict[str, str]
    stories: list[SymbolStory] = field(repr=False)
    samples: list[Sample] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return the figures alone, ready for one line of JSON."""
        return {name: value for name, value in _shallow(self) if name not in ("stories", "samples")}

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the printed table, row by row."""
        for name, value in self.as_json().items():
            if name == "urls":
                continue
            yield name.replace("_", " "), _readable(name, value)


def collect(
    engine: DemoEngine,
    home: Home,
    runs: Mapping[str, str],
    samples: Sequence[Sample],
    seconds: float,
    urls: Mapping[str, str],
) -> DemoResult:
    """Ask everyone once more and compare: the engine against the venue, its regimes against the true ones."""
    reconciliation = engine.client.reconcile()
    portfolio = engine.client.get_portfolio()
    fills = engine.fills()
    orders = engine.orders()
    live = engine.regimes()
    truth = engine.true_regimes()
    version = engine.model_version()
    names = regime_names(home, version)
    labels = labels_on_training_span(home, version, truth) if truth and version else {}
    observed = {symbol: [(int(row["open_at_ms"]), int(row["regime"])) for row in rows] for symbol, rows in live.items()}
    return DemoResult(
        seconds=round(seconds, 1),
        bars=stored_bars(home) + sum(len(rows) for rows in observed.values()),
        symbols_traded=sorted({fill["symbol"] for fill in fills}),
        orders=sum(order["status"] != "DENIED" for order in orders),
        fills=len(fills),
        rejected=dict(Counter(order["code"] for order in orders if order["status"] in ("DENIED", "REJECTED"))),
        fees=portfolio["fees"],
        realised_pnl=portfolio["realised_pnl"],
        unrealised_pnl=portfolio["unrealised_pnl"],
        equity=portfolio["equity"],
        regime_agreement=agreement(observed, labels, truth) if labels else None,
        model_version=version,
        promotion=promotion_told(home),
        runs=dict(Counter(runs.values())),
        breaks=len(reconciliation["breaks"]) + table_breaks(home),
        alerts=alert_count(home),
        parity=parity_gap(home),
        urls=dict(urls),
        stories=[_story(symbol, rows, fills, names.get(symbol, {})) for symbol, rows in sorted(live.items())],
        samples=list(samples),
    )


def stored_bars(home: Home) -> int:
    """Return how many bars the warehouse holds."""
    from warehouse.reader import count_rows  # noqa: PLC0415  # Polars is loaded only for the final figures

    return count_rows(home.warehouse, "bars")


def table_breaks(home: Home) -> int:
    """Return the breaks that the reconciliation asset found between engine, venue and warehouse."""
    from warehouse.reader import count_rows  # noqa: PLC0415  # as above

    return count_rows(home.warehouse, "breaks")


def promotion_told(home: Home) -> str:
    """Return what the gates said last: the verdict, and each gate that refused with its figures."""
    import polars as pl  # noqa: PLC0415  # as above

    from assets.tables import PROMOTIONS  # noqa: PLC0415  # as above
    from warehouse.store import Warehouse  # noqa: PLC0415  # as above

    rows = Warehouse(home.warehouse).reader(PROMOTIONS).read()
    newest = rows.filter(pl.col("decided_at") == pl.col("decided_at").max())
    if newest.is_empty():
        return "nothing was put through the gates"
    reasons = newest.filter(~pl.col("passed")).get_column("reason").to_list()
    return "; ".join(reasons) or f"{newest['verdict'][0]}: all {newest.height} gates passed"


def parity_gap(home: Home) -> dict[str, float]:
    """Return what live earned beyond the backtest of the same bars, in quote units by cause."""
    from assets.parity import stored_gap  # noqa: PLC0415  # as above
    from warehouse.store import Warehouse  # noqa: PLC0415  # as above

    return {cause: round(amount, 4) for cause, amount in stored_gap(Warehouse(home.warehouse)).items()}


def alert_count(home: Home) -> int:
    """Return the alerts raised and not yet resolved."""
    path = home.path / "alerts" / "alerts.jsonl"
    if not path.exists():
        return 0
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    state = {line["key"]: line["state"] for line in lines}
    return sum(value == "firing" for value in state.values())


def write_report(result: DemoResult, path: Path) -> None:
    """Write the offline page."""
    samples = result.samples
    data = ReportData(
        title="Nautilus HMM demo",
        figures=dict(result.rows()),
        stories=result.stories,
        equity_at_ms=[sample.at_ms for sample in samples],
        equity=[float(sample.equity) for sample in samples],
        buy_and_hold=_buy_and_hold(samples),
        rejected=result.rejected,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(data), encoding="utf-8")


def _buy_and_hold(samples: Sequence[Sample], invested: float = 10_000.0) -> list[float]:
    """Return the value of equal parts of every symbol bought at the first sample, together ``invested``."""
    if not samples:
        return []
    first = samples[0].marks
    symbols = [symbol for symbol in first if all(symbol in sample.marks for sample in samples)]
    if not symbols:
        return [0.0 for _ in samples]
    share = invested / len(symbols)
    return [sum(share * sample.marks[symbol] / first[symbol] for symbol in symbols) for sample in samples]


def _story(
    symbol: str, rows: Sequence[Mapping[str, Any]], fills: Sequence[Mapping[str, Any]], names: Mapping[int, str]
) -> SymbolStory:
    bars = [
        RegimeRow(int(row["close_at_ms"]), float(row["price"]), int(row["regime"]), tuple(row["posterior"]))
        for row in rows
    ]
    marks = [
        FillMark(int(fill["at_ms"]), float(Decimal(fill["price"])), fill["side"])
        for fill in fills
        if fill["symbol"] == symbol
    ]
    count = len(bars[0].posterior) if bars else 0
    return SymbolStory(symbol, bars, marks, [names.get(index, f"regime {index}") for index in range(count)])


def _shallow(result: DemoResult) -> Iterator[tuple[str, Any]]:
    for name in DemoResult.__dataclass_fields__:
        yield name, getattr(result, name)


def _readable(name: str, value: object) -> str:
    if name == "regime_agreement":
        return "not known for recorded bars" if value is None else f"{float(str(value)):.1%}"
    if name == "parity" and isinstance(value, dict):
        return ", ".join(f"{cause} {amount:+.2f}" for cause, amount in value.items()) or "as backtested"
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)

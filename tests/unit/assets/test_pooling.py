"""Views of several nodes through the shared folder: what counts, what is refused by name, and when it is a drift."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.decision_tables import POOLED_REGIMES
from assets.node_reports import NodeReport, SymbolView, leave, own_report, read_all
from assets.pooling import build_pooling, distance_picture, figure_rows, nodes_agree, pooled_rows
from governance.registry import ModelRegistry
from orchestration.environment import load
from orchestration.resources import SystemClock
from strategies.pooling import PoolOptions
from tests.unit.assets.bars import SYMBOL
from tests.unit.assets.registered import registered
from warehouse.store import Warehouse

NOW = 1_800_000_000_000
AT = datetime(2027, 1, 15, 8, tzinfo=UTC)
OPTIONS = PoolOptions()
LABELS = ("calm", "wild")


def report(node: str, *shares: float, labels: tuple[str, ...] = LABELS, **changes: Any) -> NodeReport:
    view = SymbolView(labels=labels, shares=shares, evidence=100.0)
    made = NodeReport(node=node, at_ms=NOW, market="spot", interval="1m", version=f"v-{node}", symbols={SYMBOL: view})
    return made.model_copy(update=changes)


def read(folder: Path) -> tuple[list[NodeReport], dict[str, str]]:
    return read_all(folder, now_ms=NOW, max_age_s=600, market="spot", interval="1m")


def rows(own: NodeReport, *others: NodeReport, before: pl.DataFrame | None = None, look: int = 0) -> pl.DataFrame:
    past = POOLED_REGIMES.empty() if before is None else before
    common = {"day": "2027-01-15", "pooled_at": AT + timedelta(minutes=look), "run_id": "run"}
    return pooled_rows(own, [own, *others], past, OPTIONS, common)


def test_what_a_node_leaves_another_reads(tmp_path: Path) -> None:
    mine, theirs = report("a", 0.7, 0.3, sharpe=1.2, sharpe_se=0.4), report("b", 0.6, 0.4)
    for one in (mine, theirs):
        leave(tmp_path / "pool", one)
    assert read(tmp_path / "pool") == ([mine, theirs], {})
    assert [path.name for path in sorted((tmp_path / "pool").iterdir())] == ["a.json", "b.json"]


def test_what_does_not_count_is_refused_by_name_and_spoils_nothing(tmp_path: Path) -> None:
    leave(tmp_path, report("good", 0.7, 0.3))
    leave(tmp_path, report("old", 0.7, 0.3, at_ms=NOW - 700_000))
    leave(tmp_path, report("ahead", 0.7, 0.3, at_ms=NOW + 120_000))
    leave(tmp_path, report("other", 0.7, 0.3, market="futures"))
    (tmp_path / "half.json").write_text('{"node": "ha')
    (tmp_path / "renamed.json").write_text(report("good", 0.7, 0.3).model_dump_json())
    values = json.loads(report("evil", 0.7, 0.3).model_dump_json())
    (tmp_path / "evil.json").write_text(json.dumps({**values, "run": "rm"}))
    unsound = json.loads(report("unsound", 0.7, 0.3).model_dump_json())
    unsound["symbols"][SYMBOL]["shares"] = [0.9, 0.9]
    (tmp_path / "unsound.json").write_text(json.dumps(unsound))
    (tmp_path / "huge.json").write_text(" " * 2_000_001)
    found, refused = read(tmp_path)
    assert [one.node for one in found] == ["good"]
    assert {name: reason.split(":")[0] for name, reason in refused.items()} == {
        "old.json": "STALE",
        "ahead.json": "STALE",
        "other.json": "OTHER_MARKET",
        "half.json": "INVALID",
        "renamed.json": "NAME_DIFFERS",
        "evil.json": "INVALID",
        "unsound.json": "INVALID",
        "huge.json": "TOO_LARGE",
    }


def test_every_node_has_a_row_and_views_of_other_regimes_are_left_out() -> None:
    found = rows(report("a", 0.7, 0.3), report("b", 0.6, 0.4), report("c", 0.6, 0.3, 0.1, labels=("x", "y", "z")))
    by_node = {row["node"]: row for row in found.iter_rows(named=True)}
    assert by_node["a"]["ours"]
    assert by_node["a"]["weight"] == by_node["b"]["weight"] == pytest.approx(0.5)
    assert by_node["c"]["weight"] == 0.0
    assert by_node["c"]["left_out"].startswith("OTHER_REGIMES")
    pooled = [float(share) for share in by_node["a"]["pooled"].split(", ")]
    assert sum(pooled) == pytest.approx(1.0, abs=1e-5)
    assert pooled[0] == pytest.approx(0.65, abs=0.01)
    assert distance_picture(found).startswith("![distance from the pool")


def test_a_node_that_stays_far_away_is_a_drift_and_the_check_warns(tmp_path: Path) -> None:
    store = Warehouse(tmp_path)
    nodes = [report("b", 0.9, 0.1), report("c", 0.88, 0.12), report("d", 0.02, 0.98)]
    for look in range(3):
        before = store.reader(POOLED_REGIMES).read()
        store.writer(POOLED_REGIMES).upsert(rows(report("a", 0.9, 0.1), *nodes, before=before, look=look))
        drifting = store.reader(POOLED_REGIMES).read().filter(pl.col("drifting"))
        answer = nodes_agree(store)
        assert isinstance(answer, dg.AssetCheckResult)
        assert answer.passed is (look < 2)
        assert drifting["node"].to_list() == (["d"] if look == 2 else [])


def test_sharpe_ratios_are_pooled_by_their_errors() -> None:
    found = figure_rows(
        [
            report("a", 1.0, 0.0, sharpe=1.0, sharpe_se=0.1),
            report("b", 1.0, 0.0, sharpe=1.0, sharpe_se=0.2),
            report("c", 1.0, 0.0),
        ]
    )
    assert [row["node"] for row in found] == ["a", "b", "all together"]
    assert found[-1]["sharpe"] == pytest.approx(1.0)
    assert found[-1]["error"] < 0.1
    assert figure_rows([report("c", 1.0, 0.0)]) == []


def test_without_a_champion_a_node_has_no_view(tmp_path: Path) -> None:
    found = own_report(
        Warehouse(tmp_path / "w"),
        ModelRegistry(tmp_path / "r"),
        load({}).research,
        node="a",
        bars=100,
        now_ms=NOW,
        sharpe=None,
    )
    assert found is None


def test_the_page_of_a_node_shows_what_all_know_and_its_view_lies_in_the_folder(tmp_path: Path) -> None:
    store, registry, version = registered(tmp_path)
    registry.promote(version, at_ms=NOW, by="test", reason="test")
    configuration, pool = load({}), tmp_path / "pool"
    (mine,) = (
        one
        for one in [own_report(store, registry, configuration.research, node="x", bars=240, now_ms=NOW, sharpe=None)]
        if one is not None
    )
    view = mine.symbols[SYMBOL]
    leave(pool, mine.model_copy(update={"node": "there", "at_ms": SystemClock().now_ms()}))
    result = dg.materialize(
        [build_pooling(pool)],
        resources={
            "settings": configuration.research,
            "decision_settings": configuration.decisions,
            "warehouse": store,
            "registry": registry,
            "clock": SystemClock(),
        },
    )
    assert result.success
    assert sorted(path.name for path in pool.iterdir()) == ["local.json", "there.json"]
    found = store.reader(POOLED_REGIMES).read()
    assert found["node"].to_list() == ["local", "there"]
    assert found["weight"].to_list() == [0.5, 0.5]
    assert found["evidence"].to_list() == [240.0, 240.0]
    pooled = [float(share) for share in found["pooled"][0].split(", ")]
    assert pooled == pytest.approx(list(view.shares), abs=1e-6)
    (materialised,) = result.asset_materializations_for_node("pooling")
    assert {"pool", "distances", "sharpe", "refused"} <= materialised.metadata.keys()

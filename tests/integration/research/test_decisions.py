"""The decision rules' jobs as Dagster runs them, against a real exchange process."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.decision_tables import (
    BANDIT_PRIORITIES,
    POLICY_PROPOSALS,
    SCREENINGS,
    SITUATION_HITS,
    SITUATION_LOOKS,
    SLIPPAGE_FITS,
)
from orchestration.decision_jobs import DECISION_JOBS
from orchestration.definitions import build
from orchestration.environment import load
from tests.integration.simulated_exchange import SimulatedExchange
from warehouse.store import Warehouse

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")


def run(home: Path, exchange: SimulatedExchange, *jobs: str) -> dg.ExecuteInProcessResult:
    """Run jobs one after the other; return the last one's result."""
    definitions = build(
        load(
            {
                "NHMM_HOME": str(home),
                "NHMM_VENUE_URL": exchange.url,
                "NHMM_BAR_INTERVAL": "1s",
                "NHMM_SYMBOLS": "BTCUSDT,ETHUSDT",
                "NHMM_MIN_TURNOVER": "0",
            }
        )
    )
    with dg.DagsterInstance.ephemeral() as instance:
        results = [
            definitions.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False) for job in jobs
        ]
    return results[-1]


def test_screening_waits_out_a_429_and_says_of_every_symbol_what_became_of_it(
    exchange: SimulatedExchange, no_faults_left: None, tmp_path: Path
) -> None:
    assert run(tmp_path, exchange, "universe_job").success
    exchange.faults("rate_limit", path="/api/v3/klines", http_status=429, retry_after_s=2, count=1)
    result = run(tmp_path, exchange, "screening_job")
    assert result.success
    rows = Warehouse(tmp_path / "warehouse").reader(SCREENINGS).read()
    assert set(rows["symbol"]) == {"BTCUSDT.BINANCE", "ETHUSDT.BINANCE"}
    assert rows.filter(pl.col("score").is_finite()).height == 2
    assert rows.filter((pl.col("spread_bps") > 0) & (pl.col("depth") > 0)).height == 2
    (materialised,) = result.asset_materializations_for_node("screening")
    assert float(str(materialised.metadata["seconds_loading"].value)) >= 2
    assert {"screening", "alpha"} <= materialised.metadata.keys()


def test_on_a_new_installation_every_decision_waits_and_none_fails(exchange: SimulatedExchange, tmp_path: Path) -> None:
    for job in DECISION_JOBS:
        assert run(tmp_path, exchange, job.name).success, job.name


def test_slippage_without_fills_is_a_recorded_refusal_and_no_failure(
    exchange: SimulatedExchange, tmp_path: Path
) -> None:
    assert run(tmp_path, exchange, "slippage_job").success
    (row,) = Warehouse(tmp_path / "warehouse").reader(SLIPPAGE_FITS).read().to_dicts()
    assert (row["verdict"], row["reason"]) == ("REFUSED", "TOO_FEW_FILLS: 0 orders of at least 200")


def test_situations_are_looked_for_once_per_bar_and_settled_later(exchange: SimulatedExchange, tmp_path: Path) -> None:
    assert run(tmp_path, exchange, "universe_job", "situations_job").success
    store = Warehouse(tmp_path / "warehouse")
    first = store.reader(SITUATION_HITS).read()
    time.sleep(1.2)  # a bar of one second closes
    assert run(tmp_path, exchange, "situations_job").success
    hits, looks = store.reader(SITUATION_HITS).read(), store.reader(SITUATION_LOOKS).read()
    earlier, later = looks.partition_by("looked_at")
    assert earlier.height == later.height == 6
    before, since = (sum(part["hits"].to_list()) for part in (earlier, later))
    assert later["until_at"][0] > earlier["until_at"][0]
    assert before == first.height > 0
    assert before + since == hits.height
    assert hits.filter(pl.col("state") == "DONE")["outcome_bps"].is_finite().all()
    assert run(tmp_path, exchange, "bandit_job").success
    priorities = store.reader(BANDIT_PRIORITIES).read()
    assert priorities.height == 3 * 6
    assert sum(priorities["count"].to_list()) == hits.filter(pl.col("state") == "DONE").height
    (proposal,) = store.reader(POLICY_PROPOSALS).read().to_dicts()
    assert (proposal["verdict"], proposal["reason"].split(":")[0]) == ("REFUSED", "TOO_FEW_ROWS")

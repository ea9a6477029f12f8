"""The ops API beside a finished demo: its champion, its regimes, and a promotion that is a Dagster run."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.command_line import Running
from tests.e2e.conftest import RunningDemo
from tests.integration.described import held
from tests.integration.simulated_exchange import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def ops(demo: RunningDemo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    words = ("--home", str(demo.home), "--port", str(free_port()), "--dagster-url", demo.dagster_url)
    running = Running(tmp_path_factory.mktemp("ops"), "ops", *words)
    address = running.line().removeprefix("ready ")
    token = (demo.home / "ops" / "token").read_text(encoding="utf-8")
    with httpx.Client(base_url=address, headers={"X-OPS-TOKEN": token}, timeout=20, trust_env=False) as client:
        held(client)
        yield client
    assert running.end() == 0


def test_its_champion_is_the_model_that_the_engine_trades(demo: RunningDemo, ops: httpx.Client) -> None:
    assert ops.get("/models").json()["champion"] == demo.result["model_version"]


def test_it_infers_regimes_of_the_exchanges_own_bars(demo: RunningDemo, ops: httpx.Client) -> None:
    exchange = str(demo.result["urls"]["exchange"]).partition("/_sim")[0]
    rows = httpx.get(
        f"{exchange}/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1s", "limit": "300"}, trust_env=False
    ).json()
    names = ("open_at_ms", "open", "high", "low", "close", "volume")
    bars = [dict(zip(names, [row[0], *map(float, row[1:6])], strict=True)) for row in rows]
    answer = ops.post("/infer", json={"symbol": "BTCUSDT.BINANCE", "bars": bars}).raise_for_status().json()
    assert answer["version"] == demo.result["model_version"]
    assert all(sum(row["posterior"]) == pytest.approx(1.0) for row in answer["posteriors"])
    assert 0 <= answer["regime"] < len(answer["labels"])


def test_a_promotion_is_a_run_that_ends_well(ops: httpx.Client) -> None:
    answer = ops.post("/promote", json={"approved_by": "the tester"})
    assert answer.status_code == 202
    deadline = time.monotonic() + 90
    status = ""
    while status not in {"SUCCESS", "FAILURE", "CANCELED"} and time.monotonic() < deadline:
        status = ops.get(answer.json()["poll"]).raise_for_status().json()["status"]
        time.sleep(0.5)
    assert status == "SUCCESS"

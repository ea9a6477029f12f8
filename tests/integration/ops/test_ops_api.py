"""The ops API as a process: what it answers, what it refuses, and who may change something."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from governance.model_card import ModelCard, content_version
from governance.ops_api.access import MAX_BODY_BYTES
from governance.ops_api.inference import MAX_BARS
from governance.registry import ModelRegistry
from strategies.features import WARM_UP, compute
from strategies.regimes.filtering import filter_batch
from strategies.regimes.hierarchy import HierarchicalModel
from tests.integration.described import held
from tests.integration.simulated_exchange import ROOT, free_port
from tests.unit.strategies.regimes.models import gaussian_model

SYMBOL = "BTCUSDT.BINANCE"
BARS = 200


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    version = register(folder, {SYMBOL: gaussian_model().to_dict()})
    ModelRegistry(folder / "registry").promote(version, at_ms=1, by="gates", reason="first")
    return folder


def register(home: Path, symbols: dict[str, Any], interval: str = "1m") -> str:
    """Register models by symbol; return their version."""
    version = content_version(symbols)
    made: dict[str, Any] = {
        "version": version,
        "kind": "gaussian_hmm",
        "created_at": "2026-01-01T00:00:00+00:00",
        "interval": interval,
    }
    card = ModelCard(
        **made,
        feature_schema="bars-v1",
        symbols=tuple(symbols),
        training_from_ms=0,
        training_to_ms=60_000,
        bars=1,
        data_hash="0" * 64,
        code_commit="",
        seed=7,
        run_id="r",
        parent="",
    )
    ModelRegistry(home / "registry").register({**made, "feature_schema": "bars-v1", "symbols": symbols}, card)
    return version


def start(home: Path, *, port: int | None = None, dagster_url: str = "") -> tuple[subprocess.Popen[str], str]:
    """Start the process; return it and its first line of output."""
    command = [sys.executable, "-m", "governance.ops_api.main", "--home", str(home), "--port", str(port or free_port())]
    command += ["--dagster-url", dagster_url or f"http://127.0.0.1:{free_port()}"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NHMM_")}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.fixture(scope="module")
def ops(home: Path) -> Iterator[httpx.Client]:
    process, line = start(home)
    assert line.startswith("ready http://127.0.0.1:")
    token = (home / "ops" / "token").read_text(encoding="utf-8")
    with httpx.Client(base_url=line.split()[1], headers={"X-OPS-TOKEN": token}, trust_env=False) as client:
        held(client)
        yield client
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def bars(count: int = BARS) -> list[dict[str, Any]]:
    chance = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0, 1e-3, count)))
    return [
        {"open_at_ms": at * 60_000, "open": p, "high": p * 1.001, "low": p * 0.999, "close": p, "volume": 1.0 + at % 7}
        for at, p in enumerate(close.tolist())
    ]


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    return body


def test_every_version_is_listed_with_the_champion_and_its_history(ops: httpx.Client) -> None:
    listed = ops.get("/models").json()
    card = listed["versions"][0]
    assert listed["champion"] == card["version"] == listed["history"][-1]["version"]
    found = ops.get(f"/models/{card['version']}").json()
    assert found["card"] == card
    assert set(found["bundle"]["symbols"]) == {SYMBOL}


def test_a_posterior_is_the_filters_own(ops: httpx.Client) -> None:
    given = bars()
    answer = ops.post("/infer", json={"symbol": SYMBOL, "bars": given}).json()
    columns = [np.array([bar[name] for bar in given]) for name in ("open", "high", "low", "close", "volume")]
    expected, _ = filter_batch(gaussian_model(), compute(*columns)[WARM_UP - 1 :])
    assert [row["posterior"] for row in answer["posteriors"]] == expected.tolist()
    assert answer["regime"] == int(expected[-1].argmax())
    assert answer["as_of_ms"] == given[-1]["open_at_ms"]


def test_only_a_hierarchical_model_has_two_levels(home: Path, ops: httpx.Client) -> None:
    refused(ops.post("/infer_h2", json={"symbol": SYMBOL, "bars": bars()}), 409, "MODEL_KIND")
    model = HierarchicalModel(factor=5, macro=gaussian_model(2), micro=(gaussian_model(2), gaussian_model(3)))
    version = register(home, {SYMBOL: model.to_dict()})
    answer = ops.post("/infer_h2", json={"symbol": SYMBOL, "bars": bars(), "version": version}).json()
    assert len(answer["posteriors"][-1]["posterior"]) == len(answer["labels"]) == 5
    assert sum(answer["macro_posterior"]) == pytest.approx(1.0)


@pytest.mark.parametrize(("interval", "bar_ms"), [("1w", 604_800_000), ("1500ms", 1_500)])
def test_a_model_of_bars_of_any_length_is_asked(home: Path, ops: httpx.Client, interval: str, bar_ms: int) -> None:
    model = gaussian_model(2).to_dict() | {"seed": bar_ms}
    version = register(home, {SYMBOL: model}, interval)
    given = [bar | {"open_at_ms": at * bar_ms} for at, bar in enumerate(bars(40))]
    answer = ops.post("/infer", json={"symbol": SYMBOL, "bars": given, "version": version})
    assert answer.json().get("as_of_ms") == given[-1]["open_at_ms"], answer.text
    other = ops.post("/infer", json={"symbol": SYMBOL, "bars": bars(40), "version": version})
    assert refused(other, 422, "BARS_INTERVAL")["detail"] == f"The model reads {interval} bars, these are 1m."


def test_a_stored_model_that_is_none_is_refused_by_name(home: Path, ops: httpx.Client) -> None:
    version = register(home, {SYMBOL: gaussian_model(2).to_dict() | {"labels": ["one"]}})
    refused(ops.post("/infer", json={"symbol": SYMBOL, "bars": bars(40), "version": version}), 409, "MODEL_INVALID")


def test_a_posterior_does_not_change_when_the_future_is_cut(ops: httpx.Client) -> None:
    whole = ops.post("/infer", json={"symbol": SYMBOL, "bars": bars()}).json()["posteriors"]
    cut = ops.post("/infer", json={"symbol": SYMBOL, "bars": bars()[:120]}).json()["posteriors"]
    assert whole[: len(cut)] == cut


@pytest.mark.parametrize("path", ["/train", "/partial_fit", "/promote", "/rollback"])
def test_a_change_needs_the_token(ops: httpx.Client, path: str) -> None:
    for headers in ({"X-OPS-TOKEN": ""}, {"X-OPS-TOKEN": "x" * 43}):
        refused(ops.post(path, json={"reason": "because"}, headers=headers), 401, "TOKEN_REQUIRED")


def test_without_dagster_a_change_says_what_to_start(ops: httpx.Client) -> None:
    answer = ops.post("/train")
    assert "nhmm up" in refused(answer, 503, "DAGSTER_UNREACHABLE")["detail"]
    assert answer.headers["retry-after"] == "2"


def test_going_back_needs_an_earlier_champion(ops: httpx.Client) -> None:
    refused(ops.post("/rollback", json={"reason": "worse than before"}), 409, "NO_CHAMPION")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"symbol": "ETHUSDT.BINANCE", "bars": bars()}, 404, "SYMBOL_UNKNOWN"),
        ({"symbol": SYMBOL, "bars": bars(), "version": "rm-" + "0" * 12}, 404, "MODEL_UNKNOWN"),
        ({"symbol": SYMBOL, "bars": bars()[::-1]}, 422, "BARS_UNORDERED"),
        ({"symbol": SYMBOL, "bars": bars(5)}, 422, "REQUEST_INVALID"),
        ({"symbol": SYMBOL, "bars": [bar | {"high": 1.0} for bar in bars()]}, 422, "NO_BARS"),
        ({"symbol": SYMBOL, "bars": [*bars()[:-1], bars()[-1] | {"low": 1e9}]}, 422, "BARS_INVALID"),
        ({"symbol": SYMBOL, "bars": bars(80)[::2]}, 422, "BARS_INTERVAL"),
        ({"symbol": SYMBOL, "bars": [bar for at, bar in enumerate(bars()) if at % 20]}, 422, "BARS_TOO_FEW"),
        ({"symbol": SYMBOL, "bars": [*bars()[:-1], bars()[-1] | {"open_at_ms": 10**30}]}, 422, "REQUEST_INVALID"),
        ({"symbol": SYMBOL, "bars": [bar | {"volume": 1e308} for bar in bars()]}, 422, "REQUEST_INVALID"),
        ({"symbol": SYMBOL, "bars": bars(), "extra": 1}, 422, "REQUEST_INVALID"),
        ({"symbol": "\ud800", "bars": bars()}, 422, "REQUEST_INVALID"),
    ],
)
def test_bad_requests_are_refused_by_name(ops: httpx.Client, body: dict[str, Any], status: int, code: str) -> None:
    answer = ops.post("/infer", content=json.dumps(body), headers={"content-type": "application/json"})
    refused(answer, status, code)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-1", "1e999", '"x"', "null"])
def test_a_price_that_is_none_names_its_field_and_repeats_nothing(ops: httpx.Client, literal: str) -> None:
    body = json.dumps({"symbol": SYMBOL, "bars": bars()}).replace('"open": 1', f'"open": {literal}, "x": 1', 1)
    answer = ops.post("/infer", content=body, headers={"content-type": "application/json"})
    problem = refused(answer, 422, "REQUEST_INVALID")
    assert any(error["field"].endswith(".open") for error in problem["errors"])


def test_what_is_too_large_is_refused_before_it_is_read(ops: httpx.Client) -> None:
    refused(ops.post("/infer", content=b"[" * (MAX_BODY_BYTES + 1)), 413, "BODY_TOO_LARGE")


def test_as_many_bars_as_the_page_allows_can_be_sent(ops: httpx.Client) -> None:
    given = bars(MAX_BARS)
    assert len(ops.post("/infer", json={"symbol": SYMBOL, "bars": given}).json()["posteriors"]) > MAX_BARS - WARM_UP


def test_a_defect_is_a_problem_document_too(tmp_path: Path) -> None:
    (tmp_path / "registry" / "versions").mkdir(parents=True)
    (tmp_path / "registry" / "champion.json").mkdir()
    process, line = start(tmp_path)
    with httpx.Client(base_url=line.split()[1], trust_env=False) as client:
        assert refused(client.get("/models"), 500, "INTERNAL")["request_id"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def test_the_web_page_is_made_of_what_the_ops_api_serves_and_of_nothing_else(ops: httpx.Client) -> None:
    page = ops.get("/docs").text
    parts = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(parts) == 3
    assert [ops.get(part).status_code for part in parts] == [200] * 3
    assert "https:" not in page


def test_a_foreign_host_gets_no_answer(ops: httpx.Client) -> None:
    refused(ops.get("/models", headers={"Host": "attacker.example"}), 400, "HOST_NOT_ALLOWED")
    assert refused(ops.get("/nothing"), 404, "ROUTE_UNKNOWN")


def test_a_version_that_was_tampered_with_is_refused(home: Path, ops: httpx.Client) -> None:
    path = next((home / "registry" / "versions").glob("*/model.json"))
    before = path.read_bytes()
    path.write_bytes(before.replace(b"0.", b"1.", 1))
    try:
        refused(ops.get(f"/models/{path.parent.name}"), 409, "MODEL_UNTRUSTED")
    finally:
        path.write_bytes(before)


def test_a_token_file_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    token = tmp_path / "ops" / "token"
    token.parent.mkdir()
    token.write_text("x" * 43, encoding="utf-8")
    token.chmod(0o644)
    process, line = start(tmp_path)
    assert (line, process.wait(15)) == ("", 4)
    assert process.stderr is not None
    assert "chmod 600" in process.stderr.read()


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process, line = start(tmp_path, port=taken.getsockname()[1])
        assert (line, process.wait(15)) == ("", 1)
        assert process.stderr is not None
        assert "choose --port" in process.stderr.read()

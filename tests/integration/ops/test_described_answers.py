"""Every route of the ops API, asked once: its answer is the one that its OpenAPI page describes."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from governance.registry import ModelRegistry
from strategies.regimes.hierarchy import AnyModel, HierarchicalModel
from tests.integration.described import Described, held
from tests.integration.ops.test_ops_api import SYMBOL, bars, register, start
from tests.unit.strategies.regimes.models import gaussian_model

RUN = {"runId": "0" * 36, "jobName": "training_job", "status": "STARTED", "startTime": 1.5, "endTime": None}


class Dagster(BaseHTTPRequestHandler):
    """Answers the two questions of GraphQL that the ops API asks."""

    def do_POST(self) -> None:  # the name that http.server calls
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        taken = {"launchPipelineExecution": {"__typename": "LaunchRunSuccess", "run": RUN}}
        found = {"runOrError": {"__typename": "Run", **RUN}}
        body = json.dumps({"data": taken if b"launchPipelineExecution" in asked else found}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # as above
        """Say nothing."""


@pytest.fixture(scope="module")
def dagster() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Dagster) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    two = HierarchicalModel(factor=5, macro=gaussian_model(2), micro=(gaussian_model(2), gaussian_model(3)))
    registry = ModelRegistry(folder / "registry")
    models: tuple[AnyModel, ...] = (gaussian_model(), two)
    for at, model in enumerate(models):
        registry.promote(register(folder, {SYMBOL: model.to_dict()}), at_ms=at, by="gates", reason="better")
    return folder


@pytest.fixture(scope="module")
def ops(home: Path, dagster: str) -> Iterator[httpx.Client]:
    process, line = start(home, dagster_url=dagster)
    token = (home / "ops" / "token").read_text(encoding="utf-8")
    with httpx.Client(base_url=line.split()[1], headers={"X-OPS-TOKEN": token}, trust_env=False) as client:
        yield client
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


@pytest.fixture(scope="module")
def page(ops: httpx.Client) -> Described:
    return held(ops)


def test_every_route_answers_as_the_page_says(ops: httpx.Client, page: Described) -> None:
    version = ops.get("/models").json()["champion"]
    given = {"symbol": SYMBOL, "bars": bars()}
    asked: list[tuple[str, str, object]] = [
        ("GET", "/healthz", None),
        ("GET", f"/models/{version}", None),
        ("POST", "/infer", given),
        ("POST", "/infer_h2", given),
        ("POST", "/train", None),
        ("POST", "/partial_fit", {}),
        ("POST", "/promote", {}),
        ("POST", "/rollback", {"reason": "worse than before"}),
        ("GET", f"/runs/{RUN['runId']}", None),
    ]
    for method, path, body in asked:
        answer = ops.request(method, path, json=body)
        assert answer.is_success, (method, path, answer.text)
    assert {operation for operation, _ in page.operations()} == {
        operation for (operation, status) in page.seen if status < 300
    }


def test_every_operation_says_how_it_refuses_and_which_need_the_token(page: Described) -> None:
    for (method, path), operation in page.operations():
        refused = {status for status in operation["responses"] if status >= "400"}
        assert {"400", "413", "500"} <= refused, path
        for status in refused:
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"], (path, status)
        assert ("security" in operation) == ("401" in refused), (method, path)
        assert "HTTPValidationError" not in str(operation)


def test_nothing_in_an_answer_is_left_open(page: Described) -> None:
    for name, schema in page.page["components"]["schemas"].items():
        assert schema.get("additionalProperties") is False, name

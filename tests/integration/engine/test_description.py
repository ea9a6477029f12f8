"""The OpenAPI page against the running engine: parameters, methods and refusals are what it says they are."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from engine_service.api.description import BODIES, QUERIES
from engine_service.api.order_schemas import ORDER_BODIES
from engine_service.api.routes import ROUTES
from engine_service.api.schema_parts import MAX_REASON
from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange

#: Stopping must be easy: nothing in a halt's query or body is held against it.
FORGIVING = ("POST", "/control/halt")
#: What is told as text, not as JSON.
TEXT = {("GET", "/metrics")}
#: Shapes of which not every field is always there: a trade's result is told by futures venues alone.
LEFT_OUT = {"Problem", "BracketView", "Frame", "Fill", "PositionAdopted", "EquityRecorded"} | {
    f"Order{asked}" for asked in ("PendingUpdate", "PendingCancel", "CancelRequested")
}
OTHERS = ("OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "POST", "GET")


@pytest.fixture(scope="module")
def engine(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    running = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def page(engine: EngineProcess) -> dict[str, Any]:
    return dict(httpx.get(f"{engine.url}/openapi.json", trust_env=False).json())


_KEYS = itertools.count()


def operations(page: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in page["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def call(engine: EngineProcess, method: str, path: str, body: object = None) -> httpx.Response:
    url = f"{engine.url}{path.replace('{', '').replace('}', '')}"
    headers = {"Authorization": f"Bearer {engine.token('admin')}", "Idempotency-Key": f"description-{next(_KEYS)}"}
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.request(method, url, headers=headers, json=body)


def example_of(operation: dict[str, Any]) -> object:
    """Return the first example of the body, an empty object where one is needed and has none."""
    if "requestBody" not in operation:
        return None
    examples = operation["requestBody"]["content"]["application/json"].get("examples", {"none": {"value": {}}})
    return next(iter(examples.values()))["value"]


def test_the_tables_name_routes_that_are_there() -> None:
    assert set(QUERIES) | set(BODIES) <= set(ROUTES)


def test_each_route_knows_the_query_parameters_that_the_page_names_and_no_other(
    engine: EngineProcess, page: dict[str, Any]
) -> None:
    for method, path, operation in operations(page):
        if (method, path) == FORGIVING:
            continue
        answer = call(engine, method, f"{path}?nobody_knows=1", example_of(operation)).json()
        assert answer["code"] == "QUERY_UNKNOWN", (method, path, answer)
        named = {item["name"] for item in operation.get("parameters", []) if item["in"] == "query"}
        known = answer["detail"].removeprefix("Known here: ").removesuffix(".")
        assert named == (set() if known == "none" else set(known.split(", "))), (method, path)


def test_a_method_that_a_route_does_not_take_is_answered_with_those_it_takes(
    engine: EngineProcess, page: dict[str, Any]
) -> None:
    for path, methods in page["paths"].items():
        for other in set(OTHERS) - {method.upper() for method in methods}:
            answer = call(engine, other, path)
            assert answer.status_code == 405, (other, path, answer.text)
            allowed = set(answer.headers["Allow"].split(", ")) - {"HEAD"}
            assert allowed == {method.upper() for method in methods}, (other, path)


def test_every_operation_says_how_it_refuses_and_whose_token_it_takes(page: dict[str, Any]) -> None:
    for method, path, operation in operations(page):
        access = ROUTES[(method, path)]
        refusals = {name for name, answer in operation["responses"].items() if "problem+json" in whole(page, answer)}
        assert {"400", "422", "500", "503"} <= refusals
        assert ("401" in refusals) == (access.scope is not None), (method, path)
        scopes = {scope for choice in operation.get("security", ()) for scope in choice["token"]}
        assert scopes == ({access.scope, *access.also} if access.scope else set()), (method, path)


def whole(page: dict[str, Any], part: dict[str, Any]) -> str:
    """Return an answer of the page as text, with what it refers to."""
    name = part.get("$ref", "").rpartition("/")[2]
    return str(page["components"]["responses"][name] if name else part)


def test_every_operation_and_every_success_has_a_name_of_its_own(page: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(page)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(page):
        for status, answer in operation["responses"].items():
            if status < "300":
                (content,) = answer["content"].values()
                assert content["schema"].get("$ref") or (method, path) in TEXT, (method, path, status)


def test_nothing_in_an_answer_is_left_open(page: dict[str, Any]) -> None:
    for name, schema in page["components"]["schemas"].items():
        if "properties" in schema:
            assert schema["additionalProperties"] is False, name
            optional = set(schema["properties"]) - set(schema.get("required", ()))
            assert not optional or name in {*LEFT_OUT, *ORDER_BODIES}, (name, optional)
        for field, part in schema.get("properties", {}).items():
            assert set(part) & {"type", "$ref", "anyOf", "enum"}, (name, field, part)


def test_the_page_is_written_once_and_not_sent_to_whom_has_it(engine: EngineProcess) -> None:
    for path in ("/openapi.json", "/docs"):
        first = engine.call("GET", path, token=None)
        assert first.status_code == 200
        again = engine.call("GET", path, token=None, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        other = engine.call("GET", path, token=None, headers={"If-None-Match": '"other"'})
        assert (other.status_code, other.content) == (200, first.content)


def test_a_number_where_text_belongs_is_refused_and_the_engine_lives_on(engine: EngineProcess) -> None:
    refused = call(engine, "PUT", "/risk/config", {"order_rate_per_min": 30, "reason": 5})
    assert (refused.status_code, refused.json()["code"]) == (422, "FIELD_TYPE")
    taken = call(engine, "PUT", "/risk/config", {"order_rate_per_min": 31, "reason": "a quiet day"})
    assert (taken.status_code, taken.json()["order_rate_per_min"]) == (200, "31")
    assert engine.call("GET", "/readyz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/control/flatten", {}),
        ("POST", "/control/resume", {}),
        ("PUT", "/strategies/ma_cross", {"enabled": False}),
        ("PUT", "/risk/config", {"order_rate_per_min": 30}),
        ("PUT", "/advice", {"sizes": [], "valid_s": "1"}),
        ("DELETE", "/league/rm-0", {}),
    ],
)
def test_a_reason_is_as_long_as_the_page_says(engine: EngineProcess, method: str, path: str, body: Any) -> None:
    answer = call(engine, method, path, {**body, "reason": "x" * (MAX_REASON + 1)})
    assert (answer.status_code, answer.json()["code"]) == (422, "STRING_TOO_LONG"), answer.text


def test_what_is_not_halted_cannot_be_resumed(engine: EngineProcess) -> None:
    answer = call(engine, "POST", "/control/resume", {"reason": "nothing was wrong"})
    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_HALTED")


@pytest.mark.parametrize("query", ["symbol=", "strategy=", "symbol=BTCUSDT.BINANCE&strategy="])
def test_an_empty_parameter_never_means_all(engine: EngineProcess, query: str) -> None:
    answer = call(engine, "DELETE", f"/orders?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "QUERY_INVALID")


def test_the_web_page_is_made_of_what_the_engine_serves_and_of_nothing_else(engine: EngineProcess) -> None:
    page = httpx.get(f"{engine.url}/docs", trust_env=False)
    parts = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert {part.rpartition(".")[2] for part in parts} == {"js", "css", "png"}
    for part in parts:
        answer = httpx.get(engine.url + part, trust_env=False)
        assert (answer.status_code, len(answer.content) > 1_000) == (200, True), part
    assert "https:" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]

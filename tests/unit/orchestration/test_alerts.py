"""An alert is told once, repeated rarely, resolved once, and never lost or doubled by a crash or a neighbour."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import IO, Any

import pytest

import orchestration.alerts as alerts_module
from assets.settings import AlertSettings
from orchestration.alerts import AlertBook, Condition, Notice
from orchestration.conditions import BREAKER_OPEN, breakers_open, orders_in_doubt, reconcile_trouble

SETTINGS = AlertSettings(urls=(), repeat_after_s=60, max_reconcile_lag_s=120, engine_timeout_s=1)
VENUE = Condition(key="venue", severity="page", summary="The breaker is open.", runbook=BREAKER_OPEN)
EQUITY = Condition(key="equity", severity="page", summary="The breaker is open.", runbook=BREAKER_OPEN)


@pytest.fixture
def book(tmp_path: Path) -> AlertBook:
    return AlertBook(tmp_path / "alerts" / "alerts.jsonl", SETTINGS)


def told(book: AlertBook, conditions: list[Condition], now_ms: int, source: str = "breaker") -> list[str]:
    return [f"{notice.key} {notice.state}" for notice in book.update(source, conditions, now_ms)]


def test_a_lasting_condition_is_told_once_and_repeated_after_a_while(book: AlertBook) -> None:
    assert told(book, [VENUE], 0) == ["breaker/venue firing"]
    assert told(book, [VENUE], 30_000) == []
    assert told(book, [VENUE], 60_000) == ["breaker/venue firing"]
    assert book.firing()["breaker/venue"].first_at_ms == 0


def test_a_condition_that_ends_is_resolved_once(book: AlertBook) -> None:
    told(book, [VENUE, EQUITY], 0)
    assert told(book, [EQUITY], 1000) == ["breaker/venue resolved"]
    assert told(book, [EQUITY], 2000) == []
    assert list(book.firing()) == ["breaker/equity"]
    assert told(book, [VENUE, EQUITY], 3000) == ["breaker/venue firing"], "the same again is new"


def test_sources_do_not_resolve_each_other(book: AlertBook) -> None:
    told(book, [VENUE], 0, "breaker")
    assert told(book, [], 1000, "engine") == []
    assert told(book, [], 1000, "break") == []
    assert list(book.firing()) == ["breaker/venue"]


def test_one_more_failure_leaves_the_others_as_they_are(book: AlertBook) -> None:
    book.raise_once("run-failed", VENUE, 0)
    book.raise_once("run-failed", EQUITY, 1)
    assert len(book.firing()) == 2
    assert [notice.key for notice in book.resolve("run-failed/venue", 2)] == ["run-failed/venue"]
    assert book.resolve("run-failed/venue", 3) == []
    assert list(book.firing()) == ["run-failed/equity"]


def test_a_line_cut_short_by_a_crash_spoils_no_other(book: AlertBook, tmp_path: Path) -> None:
    path = tmp_path / "alerts" / "alerts.jsonl"
    told(book, [VENUE], 0)
    with path.open("a") as file:
        file.write('\n{"key": "breaker/equ')
    assert told(book, [VENUE, EQUITY], 1000) == ["breaker/equity firing"]
    whole = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert [line["key"] for line in whole] == ["breaker/venue", "breaker/equity"]


def test_sensors_that_write_at_once_tell_each_thing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_look(file: IO[str]) -> dict[str, Notice]:
        found = look(file)
        time.sleep(0.02)
        return found

    look = alerts_module._last
    monkeypatch.setattr(alerts_module, "_last", slow_look)
    books = [AlertBook(tmp_path / "alerts" / "alerts.jsonl", SETTINGS) for _ in range(8)]
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda own=own: counts.append(len(own.update("breaker", [VENUE], 0)))) for own in books
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 1


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_notices_reach_a_configured_address_whose_secret_is_a_variable(
    tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    address, received = webhook
    settings = SETTINGS.model_copy(update={"urls": ("json://${HOOK}/alerts",)})
    book = AlertBook(tmp_path / "alerts.jsonl", settings, {"HOOK": address})
    book.update("breaker", [VENUE], 0)
    book.update("breaker", [], 1000)
    assert [message["title"] for message in received] == ["firing: breaker/venue", "resolved: breaker/venue"]


def test_conditions_are_read_off_the_metrics() -> None:
    samples = {
        "nhmm_breaker_open": [({"breaker": "venue:BINANCE"}, 1.0), ({"breaker": "equity"}, 0.0)],
        "nhmm_reconcile_lag_seconds": [({"venue": "BINANCE"}, 121.0), ({"venue": "PAPER"}, 3.0)],
        "nhmm_reconcile_breaks": [({"venue": "PAPER"}, 2.0)],
        "nhmm_orders_unresolved": [({"venue": "BINANCE"}, 0.0)],
    }
    assert [one.key for one in breakers_open(samples)] == ["venue:BINANCE"]
    assert [one.key for one in reconcile_trouble(samples, 120)] == ["lag/BINANCE", "breaks/PAPER"]
    assert orders_in_doubt(samples) == []
    assert breakers_open({}) == reconcile_trouble({}, 1) == []

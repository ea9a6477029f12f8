"""Answers are written once, and counted once."""

from __future__ import annotations

import pytest

from engine_service.api.problems import json_response
from engine_service.api.request_counts import RequestCounts
from observability.metrics import Metrics


def test_a_header_with_a_line_break_is_never_written() -> None:
    for value in ("a\r\nSet-Cookie: b", "a\nb", "a\rb"):
        with pytest.raises(ValueError, match="line break"):
            json_response({}, headers={"Location": value})


def test_answers_are_counted_by_route_and_status_and_published_once() -> None:
    metrics = Metrics()
    counts = RequestCounts(metrics.counter("nhmm_http_requests_total"))
    for status in (201, 201, 422):
        counts.observe("/orders/market", status)

    def published(status: str) -> float | None:
        labels = {"route": "/orders/market", "status": status}
        return metrics.registry.get_sample_value("nhmm_http_requests_total", labels)

    assert published("201") is None
    counts.publish()
    counts.publish()
    assert (published("201"), published("422")) == (2, 1)
    counts.observe("/orders/market", 201)
    counts.publish()
    assert published("201") == 3

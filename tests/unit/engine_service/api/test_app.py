"""A route that is served and not declared, or declared and not served, keeps the engine from starting, by name."""

from __future__ import annotations

from typing import Any

import pytest

from engine_service.api.answers import ANSWERS
from engine_service.api.app import create_app
from engine_service.api.routes import OPEN, ROUTES

PRICES, NOWHERE = ("GET", "/prices"), ("GET", "/nowhere")


@pytest.mark.parametrize(("table", "entry"), [(ROUTES, OPEN), (ANSWERS, {})], ids=["access", "answers"])
@pytest.mark.parametrize("route", [PRICES, NOWHERE], ids=["left out", "too much"])
def test_a_route_and_its_declaration_need_each_other(
    table: dict[tuple[str, str], Any], entry: Any, route: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if route == PRICES:
        monkeypatch.delitem(table, route)
    else:
        monkeypatch.setitem(table, route, entry)
    nobody: Any = None
    with pytest.raises(ValueError, match=route[1]):
        create_app(nobody, nobody, "test")

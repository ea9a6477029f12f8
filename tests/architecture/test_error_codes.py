"""Every code that a caller can be refused with is in the one table that gives it its status and its title."""

from __future__ import annotations

import ast

from engine_service.contract.codes import CODES
from tests.architecture.sources import sources

#: Where the code stands among the arguments. Errors of the start (``ConfigurationError``) answer no request.
RAISED = {
    "InvalidRequest": 0,
    "Refused": 0,
    "RiskRefused": 0,
    "Conflict": 0,
    "NotFound": 0,
    "Unavailable": 0,
    "wrong": 1,
}


def codes_raised() -> dict[str, str]:
    """Return every code written out where an error is made, and one place of it."""
    found: dict[str, str] = {}
    for source in sources("engine_service"):
        if source.path.startswith("engine_service/exchange_sim/"):
            continue
        for node in ast.walk(source.tree):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if not isinstance(node, ast.Call) or len(node.args) <= RAISED.get(name, len(node.args)):
                continue
            code = node.args[RAISED[name]]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                found[code.value] = f"{source.path}:{node.lineno}"
    return found


def test_every_code_has_a_status_and_a_title() -> None:
    raised = codes_raised()
    assert len(raised) > 60
    assert {code: place for code, place in raised.items() if code not in CODES} == {}

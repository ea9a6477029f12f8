"""Every code that a caller can be refused with is in the one table that gives it its status and its title."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from engine_service.contract.codes import CODES
from orchestration.cli.startup_refusals import WAYS_OUT
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


#: Errors that end a start. ``VENUE_NO_LISTS`` is a bracket's, and never reaches a caller or a start.
AT_START = {"ConfigurationError": 0, "EngineError": 0, "LeaseHeld": 0}
NOT_OF_A_START = {"VENUE_NO_LISTS"}


def codes_raised(raised: Mapping[str, int]) -> dict[str, str]:
    """Return every code written out where one of these errors is made, and one place of it."""
    found: dict[str, str] = {}
    for source in sources("engine_service"):
        if source.path.startswith("engine_service/exchange_sim/"):
            continue
        for node in ast.walk(source.tree):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if not isinstance(node, ast.Call) or len(node.args) <= raised.get(name, len(node.args)):
                continue
            code = node.args[raised[name]]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                found[code.value] = f"{source.path}:{node.lineno}"
    return found


def test_every_code_has_a_status_and_a_title() -> None:
    raised = codes_raised(RAISED)
    assert len(raised) > 60
    assert {code: place for code, place in raised.items() if code not in CODES} == {}


def test_the_doctor_knows_a_way_out_of_every_refused_start() -> None:
    raised = codes_raised(AT_START)
    assert len(raised) > 12
    assert {code: place for code, place in raised.items() if code not in WAYS_OUT and code not in NOT_OF_A_START} == {}
    assert set(WAYS_OUT) <= set(raised) | {"VENUE_UNREACHABLE"}

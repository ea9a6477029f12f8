"""Every named hostile request, and some hundred random ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine_service.contract.codes import CODES
from tests.faults.bad_input_cases import CASES
from tests.faults.bad_inputs import requests
from tests.faults.rows import Options


@pytest.mark.slow
def test_hostile_requests_are_answered_as_written_and_nothing_breaks(tmp_path: Path) -> None:
    outcome = asyncio.run(requests(Options(folder=tmp_path), CASES, 300))
    assert outcome.failures == []


def test_the_table_names_each_case_once_and_only_documented_codes() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 132
    assert {case.code for case in CASES if case.code} <= set(CODES)

"""A few stops under load."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.rows import Options
from tests.faults.sigterm import stops


@pytest.mark.slow
def test_a_stop_under_load_drains_in_time_and_leaves_no_caller_without_a_word(tmp_path: Path) -> None:
    outcome = asyncio.run(stops(Options(folder=tmp_path, seed=3), 4, ("calm", "slow answers")))
    assert outcome.failures == []

"""A few rounds of identical requests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.identical_posts import rounds
from tests.faults.rows import Options


@pytest.mark.slow
def test_64_identical_posts_at_once_are_one_order_named_in_every_answer(tmp_path: Path) -> None:
    outcome = asyncio.run(rounds(Options(folder=tmp_path), 4))
    assert outcome.failures == []

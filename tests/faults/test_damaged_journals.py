"""Torn, rotten and forged journals of a real engine: a few of each kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine_service.storage.verify import verify_home
from tests.faults.homes import Written, write_homes_now
from tests.faults.tampered_journals import FORGERIES, LOG_FORGERIES, try_forgeries
from tests.faults.torn_journals import try_images

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_homes_now(tmp_path_factory.mktemp("homes"), seed=1, orders=20)


def test_after_a_power_cut_the_journal_has_every_acknowledged_order_or_is_refused(
    written: Written, tmp_path: Path
) -> None:
    outcome = try_images(written, tmp_path, 24, seed=2)
    assert outcome.failures == []
    assert "recovered to a prefix" in outcome.notes
    assert "refused" in outcome.notes


def test_every_forgery_of_a_closed_journal_is_found(written: Written, tmp_path: Path) -> None:
    number = 2 * (len(FORGERIES) + len(LOG_FORGERIES))
    outcome = try_forgeries(written, tmp_path, number, seed=2)
    assert (outcome.tried, outcome.failures) == (number, [])


def test_an_untouched_copy_is_clean(written: Written, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(written.closed, copy)
    assert verify_home(copy).kind == ""

"""The active symbols of a folder in which nothing was fetched yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.universe import UniverseEmpty, active_symbols
from orchestration.environment import load
from warehouse.store import Warehouse


def test_where_nothing_was_fetched_the_reason_says_what_to_do(tmp_path: Path) -> None:
    """A run's reason reaches who asked over the ops API as it is: `POST /train` on a new folder ends with this."""
    with pytest.raises(UniverseEmpty, match="fetch the universe and bars first: nhmm backfill"):
        active_symbols(Warehouse(tmp_path), load({}).research)

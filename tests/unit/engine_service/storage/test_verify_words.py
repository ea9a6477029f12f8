"""What `nhmm audit verify` says to a person where there is nothing to check."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_service.storage.verify import UNREADABLE, main


def test_a_folder_without_a_journal_is_told_without_a_place_and_with_a_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(tmp_path)]) == UNREADABLE
    assert capsys.readouterr().out == (
        f"unreadable: JOURNAL_MISSING: there is no journal in {tmp_path}/engine; is it the data folder? --home DIR\n"
    )

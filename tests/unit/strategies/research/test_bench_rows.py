"""``make bench-research``: which rows a person asks for, and how."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks import machine
from tests.benchmarks.row import Row
from tests.research_benchmarks import __main__ as bench


@pytest.mark.parametrize(
    "asked", [["--only", "one", "two"], ["--only", "one", "--only", "two"], ["--only", "one", "two", "one"]]
)
def test_rows_are_named_after_one_another_or_one_by_one(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("one", "two", "three")
    monkeypatch.setattr(bench, "rows", lambda: {name: lambda: Row(ours=2.0, peer=1.0, unit="x") for name in names})
    monkeypatch.setattr(machine, "describe", lambda: ())
    assert bench.main([*asked, "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])) == ["one", "two"]

"""Tokens are issued and revoked from any folder: a person in a hurry does not stand in the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestration.cli.app import app


def test_tokens_are_issued_and_revoked_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    home = tmp_path / "home"
    (home / "engine").mkdir(parents=True)
    issued = CliRunner().invoke(app, ["token", "issue", "alice", "--home", str(home)])
    assert issued.exit_code == 0
    callers = home / "engine" / "callers.json"
    assert [caller["name"] for caller in json.loads(callers.read_text(encoding="utf-8"))] == ["alice"]
    assert CliRunner().invoke(app, ["token", "revoke", "alice", "--home", str(home)]).exit_code == 0
    assert json.loads(callers.read_text(encoding="utf-8")) == []

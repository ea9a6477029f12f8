"""``nhmm promote``: the candidate evaluated last, or a named one with a named person behind it; to which engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestration.cli import research
from orchestration.cli.app import app
from orchestration.cli.layout import Exit, Home, Refused
from orchestration.cli.simulated import fresh_market, note_market

Started = list[tuple[list[str], dict[str, Any]]]
MARKET = {"NHMM_VENUE": "binance", "NHMM_VENUE_URL": "http://127.0.0.1:18010", "NHMM_BAR_INTERVAL": "1s"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What Dagster would have been asked to do: its words, and the configuration file they name."""
    found: Started = []

    def record(_home: Path | None, words: list[str], _engine_url: str | None = None) -> None:
        config = json.loads(Path(words[-1]).read_text()) if "--config" in words else {}
        found.append((words, config))

    monkeypatch.setattr(research, "_dagster", record)
    return found


def test_the_candidate_evaluated_last_needs_no_words(started: Started, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["promote", "--home", str(tmp_path)]).exit_code == 0
    assert started == [(["asset", "materialize", "--select", "promotion"], {})]


def test_a_person_can_approve_a_version_by_name(started: Started, tmp_path: Path) -> None:
    words = ["promote", "--version", "rm-0123456789ab", "--approved-by", "ann", "--home", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    ((asked, config),) = started
    assert asked[:4] == ["job", "execute", "-j", "promotion_job"]
    assert config == {"ops": {"promotion": {"config": {"version": "rm-0123456789ab", "approved_by": "ann"}}}}


def test_a_roll_back_says_who_and_why(started: Started, tmp_path: Path) -> None:
    words = ["rollback", "--reason", "worse than before", "--by", "ann", "--home", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    ((asked, config),) = started
    assert asked[3] == "rollback_job"
    assert config == {"ops": {"roll_back": {"config": {"by": "ann", "reason": "worse than before"}}}}


@pytest.mark.parametrize(
    "words", [["promote"], ["promote", "--version", "rm-0123456789ab"], ["rollback", "--reason", "no"]]
)
def test_the_engine_that_gets_the_model_is_the_one_named(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def record(_words: Sequence[str], environment: Mapping[str, str], _log: Path) -> None:
        asked.append(environment["NHMM_ENGINE_URL"])

    monkeypatch.setattr(research, "follow", record)
    monkeypatch.setenv("NHMM_ENGINE_URL", "http://127.0.0.1:18004")
    for flag in ([], ["--engine-url", "http://127.0.0.1:18003"]):
        done = CliRunner().invoke(app, [*words, *flag, "--home", str(tmp_path)])
        assert done.exit_code == 0, done.output
    assert asked == ["http://127.0.0.1:18004", "http://127.0.0.1:18003"]


def test_an_address_that_is_none_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(research, "follow", lambda *_: pytest.fail("something started"))
    done = CliRunner().invoke(app, ["promote", "--engine-url", "nowhere", "--home", str(tmp_path)])
    assert isinstance(done.exception, Refused)
    assert done.exception.exit_code == Exit.CONFIGURATION
    assert "NHMM_ENGINE_URL" in str(done.exception)


def test_beside_a_simulated_market_its_exchange_is_asked_and_not_the_venue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bars of two markets must not mix in one table: `nhmm backfill` beside `nhmm up` fetched the real venue's."""
    asked: list[Mapping[str, str]] = []
    monkeypatch.setattr(research, "follow", lambda _words, environment, _log: asked.append(environment))
    for name in MARKET:
        monkeypatch.delenv(name, raising=False)
    home = Home(tmp_path)
    assert CliRunner().invoke(app, ["train", "--home", str(tmp_path)]).exit_code == 0
    fresh_market(home)
    note_market(home, {**MARKET, "NHMM_HOME": "elsewhere", "NHMM_SCHEDULES": "off"})
    assert CliRunner().invoke(app, ["train", "--home", str(tmp_path)]).exit_code == 0
    monkeypatch.setenv("NHMM_BAR_INTERVAL", "1m")
    assert CliRunner().invoke(app, ["train", "--home", str(tmp_path)]).exit_code == 0
    before, beside, chosen = asked
    assert not MARKET.keys() & before.keys()
    assert beside.items() >= MARKET.items()
    assert (beside["NHMM_HOME"], "NHMM_SCHEDULES" in beside) == (str(home.path), False)
    assert chosen["NHMM_BAR_INTERVAL"] == "1m", "what a person sets comes first"


def test_a_note_of_the_market_that_cannot_be_read_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(research, "follow", lambda *_: pytest.fail("something started"))
    home = Home(tmp_path)
    fresh_market(home)
    (home.engine / "simulated-market").write_text("{")
    done = CliRunner().invoke(app, ["train", "--home", str(tmp_path)])
    assert isinstance(done.exception, Refused)
    assert "simulated-market cannot be read" in str(done.exception)

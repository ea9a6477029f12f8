"""A new simulated market puts the old one's belongings aside, and touches nothing that is not a simulated market's."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from assets.tables import EVALUATIONS, PROMOTIONS
from orchestration.cli.demo_result import promotion_told
from orchestration.cli.demo_run import MOST_SYMBOLS, Progress, watched
from orchestration.cli.layout import Home, Refused
from orchestration.cli.simulated import KEPT_MARKETS, fresh_market, refuse_simulated
from warehouse.store import Warehouse


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def trade(home: Home, text: str = "journal") -> None:
    """Leave behind what a run leaves behind."""
    home.engine.mkdir(exist_ok=True)
    home.journal.write_text(text)
    home.keys.mkdir(exist_ok=True)
    home.checkpoints.touch()
    home.warehouse.mkdir(exist_ok=True)
    home.dagster.mkdir(exist_ok=True)
    (home.dagster / "runs.db").touch()


def archived(home: Home) -> list[Path]:
    archive = home.path / "archive"
    return sorted(archive.iterdir()) if archive.exists() else []


def test_an_empty_folder_needs_nothing_put_aside(home: Home) -> None:
    fresh_market(home)
    assert archived(home) == []


def test_the_earlier_market_is_kept_and_the_record_of_runs_stays(home: Home) -> None:
    fresh_market(home)
    trade(home)
    fresh_market(home)
    assert [(place / "engine" / "journal.sqlite3").read_text() for place in archived(home)] == ["journal"]
    for path in (home.journal, home.keys, home.checkpoints, home.warehouse):
        assert not path.exists()
        assert (archived(home)[0] / path.relative_to(home.path)).exists()
    assert (home.dagster / "runs.db").exists()


def test_only_the_newest_markets_are_kept(home: Home) -> None:
    for number in range(KEPT_MARKETS + 3):
        fresh_market(home)
        trade(home, str(number))
    kept = [(place / "engine" / "journal.sqlite3").read_text() for place in archived(home)]
    assert kept == [str(number) for number in range(2, KEPT_MARKETS + 2)]


@pytest.mark.parametrize("belonging", ["engine/journal.sqlite3", "warehouse/bars", "registry/rm-1"])
def test_what_another_venue_left_is_not_moved(home: Home, belonging: str) -> None:
    precious = home.path / belonging
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(Refused, match="--home DIR"):
        fresh_market(home)
    assert precious.exists()


def test_candidates_of_files_that_no_market_has_met_stay(home: Home) -> None:
    card = home.registry / "versions" / "rm-1" / "card.json"
    figures = home.warehouse / EVALUATIONS.name / "manifest.json"
    for path in (card, figures):
        path.parent.mkdir(parents=True)
        path.touch()
    fresh_market(home)
    assert card.exists() and figures.exists()
    assert archived(home) == []
    trade(home)
    fresh_market(home)
    assert not card.exists(), "they are the market's by now"
    assert (archived(home)[0] / card.relative_to(home.path)).exists()


@pytest.mark.parametrize("belonging", ["registry/champion.json", "warehouse/bars/manifest.json"])
def test_a_champion_or_bars_beside_them_are_of_a_market(home: Home, belonging: str) -> None:
    for path in (home.registry / "versions" / "rm-1", home.warehouse / EVALUATIONS.name):
        path.mkdir(parents=True)
    (home.path / belonging).parent.mkdir(exist_ok=True)
    (home.path / belonging).touch()
    with pytest.raises(Refused, match="--home DIR"):
        fresh_market(home)


def test_tokens_of_an_engine_that_never_traded_are_in_nobodys_way(home: Home) -> None:
    home.engine.mkdir()
    home.tokens.touch()
    fresh_market(home)
    assert not home.tokens.exists()


def test_another_venue_does_not_go_on_with_a_simulated_journal(home: Home) -> None:
    refuse_simulated(home)
    fresh_market(home)
    refuse_simulated(home)
    trade(home)
    with pytest.raises(Refused, match="--home DIR"):
        refuse_simulated(home)


def test_the_demo_names_what_it_leaves_out_of_a_recorded_market(capsys: pytest.CaptureFixture[str]) -> None:
    few = [f"C{at}USDT" for at in range(MOST_SYMBOLS)]
    assert watched(few, Progress()).split(",") == few
    assert capsys.readouterr().err == ""
    many = [f"C{at}USDT" for at in range(MOST_SYMBOLS + 2)]
    assert len(watched(many, Progress()).split(",")) == MOST_SYMBOLS
    assert f"without C{MOST_SYMBOLS}USDT, C{MOST_SYMBOLS + 1}USDT" in capsys.readouterr().err


def test_the_demo_tells_which_gates_refused_its_model(home: Home) -> None:
    assert promotion_told(home) == "nothing was put through the gates"

    def decided(hour: int, gates: dict[str, bool]) -> None:
        rows = [
            {
                "decided_at": datetime(2026, 3, 1, hour, tzinfo=UTC),
                "candidate": "rm-1",
                "champion": "",
                "verdict": "PROMOTE" if all(gates.values()) else "KEEP_CHAMPION",
                "gate": gate,
                "passed": passed,
                "value": 0.0,
                "threshold": 10.0,
                "reason": f"{gate} is 0, at least 10 is asked for",
                "run_id": "run",
            }
            for gate, passed in gates.items()
        ]
        Warehouse(home.warehouse).writer(PROMOTIONS).upsert(pl.DataFrame(rows, schema=PROMOTIONS.schema))

    decided(1, {"bars": False, "trades": False})
    decided(2, {"bars": True, "trades": False})
    assert promotion_told(home) == "trades is 0, at least 10 is asked for"
    decided(3, {"bars": True, "trades": True})
    assert promotion_told(home) == "PROMOTE: all 2 gates passed"

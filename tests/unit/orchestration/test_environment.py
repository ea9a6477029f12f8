"""Settings: defaults, variables, files; and what is wrong is named with its key, value and range."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assets.decision_settings import DECISION_FILES
from assets.settings import CONFIG_FILES, UniverseSettings
from orchestration.environment import ROOT, ConfigurationInvalid, load, read_config, read_environment


def test_the_checkouts_own_files_are_valid_and_nothing_needs_a_variable() -> None:
    configuration = load({})
    assert configuration.environment.home == Path("data").resolve()
    assert configuration.research.interval == "1m"
    assert configuration.research.market == "spot"
    assert not configuration.research.gates.approval_required


def test_every_file_has_its_model_and_every_key_says_what_it_is() -> None:
    for name, model in {**CONFIG_FILES, **DECISION_FILES}.items():
        read_config(ROOT / "config" / name, model)
        assert all(field.description for field in model.model_fields.values())


def test_variables_change_what_the_assets_are_told(tmp_path: Path) -> None:
    configuration = load(
        {
            "NHMM_HOME": str(tmp_path),
            "NHMM_VENUE": "binance-futures",
            "NHMM_VENUE_URL": "http://127.0.0.1:8010/",
            "NHMM_BAR_INTERVAL": "1s",
            "NHMM_SYMBOLS": "btcusdt, ETHUSDT.BINANCE",
            "NHMM_MAX_SYMBOLS": "3",
            "NHMM_MIN_TURNOVER": "0",
            "NHMM_PROMOTION": "live",
        }
    )
    research = configuration.research
    assert (research.market, research.interval, research.bar_ms) == ("futures", "1s", 1000)
    assert research.symbols == ("BTCUSDT.BINANCE", "ETHUSDT.BINANCE")
    assert research.universe.max_active == 3
    assert (research.universe.min_turnover, research.universe.keep_turnover) == (0, 0)
    assert research.gates.approval_required
    assert configuration.environment.venue_url == "http://127.0.0.1:8010"
    assert configuration.environment.tokens == tmp_path / "engine" / "tokens.json"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NHMM_BAR_INTERVAL", "7m"),
        ("NHMM_VENUE", "ftx"),
        ("NHMM_VENUE_URL", "ftp://x"),
        ("NHMM_ENGINE_URL", "127.0.0.1:8003"),
        ("NHMM_SYMBOLS", "BTC/USDT"),
        ("NHMM_MAX_SYMBOLS", "0"),
        ("NHMM_MIN_TURNOVER", "-1"),
        ("NHMM_COMPUTE", "ray"),
        ("NHMM_COMPUTE_WORKERS", "many"),
        ("NHMM_PROMOTION", "yolo"),
        ("NHMM_SCHEDULES", "maybe"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value_and_what_is_allowed(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        read_environment({variable: value})
    assert str(refused.value).startswith(f"environment: {variable} = {value}: ")
    assert len(str(refused.value)) > len(f"environment: {variable} = {value}: ") + 5


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_active: 20", "max_active: 0", ["max_active = 0", "greater than or equal to 1"]),
        ("max_active: 20", "", ["max_active", "required"]),
        ("max_active: 20", "max_active: 20\nspeed: 9", ["speed = 9", "not permitted"]),
        ("max_active: 20", "max_active: 20\nmax_active: 30", ["max_active", "twice"]),
        ("keep_turnover: 10000000", "keep_turnover: 99000000", ["keep_turnover", "must not exceed min_turnover"]),
        ("min_turnover: 20000000", "min_turnover: nan", ["min_turnover = nan", "finite"]),
        ("quote_assets: [USDT]", "quote_assets: &a [USDT]", ["anchors"]),
        ("quote_assets: [USDT]", "quote_assets: !!python/tuple [USDT]", ["tags"]),
    ],
    ids=["out of range", "missing", "unknown", "twice", "contradiction", "not a number", "anchor", "tag"],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    path = tmp_path / "universe.yaml"
    text = (ROOT / "config" / "universe.yaml").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigurationInvalid) as refused:
        read_config(path, UniverseSettings)
    assert str(path) in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_an_own_folder_of_files_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    shutil.copytree(ROOT / "config", folder)
    path = folder / "training.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("seed: 7", "seed: 11"), encoding="utf-8")
    assert load({"NHMM_CONFIG": str(folder)}).research.training.seed == 11
    path.unlink()
    with pytest.raises(ConfigurationInvalid, match=r"training\.yaml"):
        load({"NHMM_CONFIG": str(folder)})


def test_the_code_commit_is_recorded() -> None:
    assert len(load({}).research.code_commit) in (0, 40)

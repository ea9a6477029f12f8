"""Settings: flag beats variable beats file; what is wrong is named with its place and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_service.domain.errors import ConfigurationError
from engine_service.settings import load_settings
from engine_service.yaml_strict import YamlRefused, load_text


def _folder(tmp_path: Path, text: str) -> Path:
    (tmp_path / "engine.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_flag_beats_a_variable_and_a_variable_beats_the_file(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "port: 1001\ninterval: 5m\nvenue: binance\n")
    settings = load_settings({"port": 3003, "venue": None}, {"NHMM_PORT": "2002", "NHMM_INTERVAL": "1h"}, folder)
    assert (settings.port, settings.interval, settings.venue) == (3003, "1h", "binance")


@pytest.mark.parametrize(
    ("flags", "environment", "text", "named"),
    [
        ({"port": 0}, {}, "", ("command line", "port = 0", "greater than or equal to 1")),
        ({}, {"NHMM_RECONCILE_EVERY_S": "0"}, "", ("environment", "reconcile_every_s = 0", "5")),
        ({}, {}, "venue: nowhere\n", ("engine.yaml", "venue = nowhere", "binance")),
        ({}, {}, "prot: 8003\n", ("engine.yaml", "prot is not a setting", "port")),
        ({}, {}, "host: 0.0.0.0\n", ("engine.yaml", "host = 0.0.0.0", "loopback")),
        ({}, {}, "port: 1\nport: 2\n", ("engine.yaml", "stands twice")),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, flags: dict[str, object], environment: dict[str, str], text: str, named: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(flags, environment, _folder(tmp_path, text))
    assert all(word in refusal.value.detail for word in named), refusal.value.detail


def test_keys_come_from_files_and_are_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary-secret\n", encoding="utf-8")
    environment = {"BINANCE_API_KEY": "canary-key", "BINANCE_API_SECRET_FILE": str(secret)}
    settings = load_settings({}, environment, _folder(tmp_path, ""))
    assert settings.api_secret.get_secret_value() == "canary-secret"
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: !!python/object/apply:os.system [id]", "POLICY_TAG"),
        ("a: &x [1]\nb: *x", "POLICY_ALIAS"),
        ("a: 1\na: 2", "POLICY_DUPLICATE_KEY"),
        ("[" * 2000, "POLICY_TOO_DEEP"),
        ("- 1\n- 2", "POLICY_NOT_MAPPING"),
        ("a: [1", "POLICY_SYNTAX"),
        ("a:\n" + " - 1\n" * 6000, "POLICY_TOO_LARGE"),
    ],
)
def test_yaml_that_is_not_plain_data_is_refused(text: str, code: str) -> None:
    with pytest.raises(YamlRefused) as refusal:
        load_text(text)
    assert refusal.value.code == code


def test_yaml_scalars_stay_as_they_were_written() -> None:
    assert load_text("a: no\nb: 010\nc: 12:30:45\nd: .nan\ne: 1_000") == {
        "a": "no",
        "b": "010",
        "c": "12:30:45",
        "d": ".nan",
        "e": "1_000",
    }

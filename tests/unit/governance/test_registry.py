"""Versions that never change, a pointer that can go back, and files that were tampered with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from governance.audit import DecisionLog
from governance.model_card import ModelCard, content_version
from governance.registry import ModelRegistry, ModelUnknown, ModelUntrusted, NoChampion
from strategies.features import FEATURE_SCHEMA


def bundle(number: float) -> dict[str, Any]:
    """A bundle made at a second of its own."""
    symbols = {"BTCUSDT.BINANCE": {"means": [[number]]}}
    told = {"interval": "1m", "feature_schema": FEATURE_SCHEMA, "created_at": f"2026-01-01T00:00:0{number:.0f}+00:00"}
    return {"version": content_version(symbols), "kind": "gaussian_hmm", **told, "symbols": symbols}


def card(of: dict[str, Any]) -> ModelCard:
    return ModelCard(
        version=of["version"],
        kind="gaussian_hmm",
        created_at=of["created_at"],
        interval="1m",
        feature_schema=FEATURE_SCHEMA,
        symbols=("BTCUSDT.BINANCE",),
        training_from_ms=0,
        training_to_ms=60_000,
        bars=1,
        data_hash="0" * 64,
        code_commit="",
        seed=7,
        run_id="r",
        parent="",
        fits={"BTCUSDT.BINANCE": {"bic": 0.5}},
    )


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(tmp_path)


def registered(registry: ModelRegistry, number: float) -> str:
    made = bundle(number)
    registry.register(made, card(made))
    return str(made["version"])


def test_a_version_comes_back_as_it_was_registered(registry: ModelRegistry) -> None:
    version = registered(registry, 1)
    assert registry.bundle(version) == bundle(1)
    assert registry.card(version).fits == {"BTCUSDT.BINANCE": {"bic": 0.5}}
    assert registry.newest() == registry.card(version)


def test_equal_arrays_are_one_version_and_registering_again_changes_nothing(registry: ModelRegistry) -> None:
    made = bundle(1)
    assert registry.register(made, card(made))
    assert not registry.register(made, replace(card(made), seed=8))
    assert registry.card(made["version"]).seed == 7


def test_a_version_that_is_not_that_of_its_arrays_is_refused(registry: ModelRegistry) -> None:
    made = {**bundle(1), "version": bundle(2)["version"]}
    with pytest.raises(ValueError, match="arrays"):
        registry.register(made, card(made))


def test_arrays_that_are_not_numbers_cannot_be_registered() -> None:
    with pytest.raises(ValueError, match="JSON"):
        bundle(float("nan"))


@pytest.mark.parametrize("name", ["model.json", "card.json", "seal.json"])
def test_a_changed_file_is_found_before_it_is_used(registry: ModelRegistry, tmp_path: Path, name: str) -> None:
    version = registered(registry, 1)
    path = tmp_path / "versions" / version / name
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "model.json": "0", "symbols": []}))
    with pytest.raises(ModelUntrusted):
        registry.promote(version, at_ms=1, by="test", reason="")
        registry.card(version)
    path.unlink()
    with pytest.raises(ModelUntrusted):
        registry.bundle(version)
        registry.card(version)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc", "rm-1", "rm-" + "g" * 12, "", "a\0b", "x" * 300])
def test_a_name_that_is_no_registry_key_is_unknown(registry: ModelRegistry, name: str) -> None:
    with pytest.raises(ModelUnknown):
        registry.bundle(name)


def test_a_version_that_is_a_link_elsewhere_is_unknown(registry: ModelRegistry, tmp_path: Path) -> None:
    version = registered(registry, 1)
    elsewhere = (tmp_path / "versions" / version).rename(tmp_path / "elsewhere")
    (tmp_path / "versions" / version).symlink_to(elsewhere)
    with pytest.raises(ModelUnknown):
        registry.bundle(version)


def test_roll_back_goes_to_the_champion_before_and_then_further_back(registry: ModelRegistry) -> None:
    first, second, third = (registered(registry, number) for number in (1, 2, 3))
    for version in (first, second, third):
        registry.promote(version, at_ms=1, by="gates", reason="passed")
    assert registry.roll_back(at_ms=2, by="a person", reason="losses") == second
    assert registry.roll_back(at_ms=3, by="a person", reason="losses") == first
    with pytest.raises(NoChampion):
        registry.roll_back(at_ms=4, by="a person", reason="losses")
    assert registry.champion() == first
    assert len(registry.history()) == 5


def test_promoting_the_champion_again_leaves_no_trace(registry: ModelRegistry) -> None:
    version = registered(registry, 1)
    for at_ms in (1, 2):
        registry.promote(version, at_ms=at_ms, by="gates", reason="passed")
    assert [move.at_ms for move in registry.history()] == [1]


def test_no_champion_before_the_first_promotion(registry: ModelRegistry) -> None:
    assert registry.champion() is None
    assert registry.versions() == []
    with pytest.raises(NoChampion):
        registry.previous()


def test_decisions_are_kept_in_order_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "audit" / "decisions.jsonl")
    assert list(log.read()) == []
    log.append("promotion", 1, {"verdict": "PROMOTE"})
    with (tmp_path / "audit" / "decisions.jsonl").open("a") as file:
        file.write('{"kind": "promo')
    log.append("allocation", 2, {"strategy": "a"})
    assert [decision["at_ms"] for decision in log.read()] == [1, 2]
    assert [decision["at_ms"] for decision in log.read("allocation")] == [2]


@pytest.mark.parametrize(("name", "text"), [("model.json", "{}"), ("card.json", '{"kind": 1}'), ("card.json", "{}")])
def test_nonsense_under_a_fresh_seal_is_untrusted(
    registry: ModelRegistry, tmp_path: Path, name: str, text: str
) -> None:
    version = registered(registry, 1)
    folder = tmp_path / "versions" / version
    (folder / name).write_text(text)
    seal = {each: hashlib.sha256((folder / each).read_bytes()).hexdigest() for each in ("model.json", "card.json")}
    (folder / "seal.json").write_text(json.dumps(seal))
    with pytest.raises(ModelUntrusted):
        registry.bundle(version) if name == "model.json" else registry.card(version)

"""A model folder is what was written, or it is refused by name; a new seal does not make nonsense a model."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from governance.model_card import ModelCard, content_version
from governance.model_folder import CARD, MODEL, SEAL, ModelUntrusted, read_model_folder, write_model
from strategies.features import FEATURE_SCHEMA
from strategies.regimes.hierarchy import read_model
from strategies.regimes.model import ModelRefused
from tests.unit.strategies.regimes.models import correlated_model, gaussian_model

SYMBOL = "BTCUSDT"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    symbols = {SYMBOL: gaussian_model(2).to_dict()}
    version = content_version(symbols)
    card = ModelCard(
        version=version,
        kind="gaussian_hmm",
        interval="1m",
        feature_schema=FEATURE_SCHEMA,
        created_at="",
        symbols=(SYMBOL,),
        training_from_ms=0,
        training_to_ms=60_000,
        bars=1_000,
        data_hash="",
        code_commit="",
        seed=7,
        run_id="",
        parent="",
    )
    same = {name: getattr(card, name) for name in ("version", "kind", "interval", "feature_schema", "created_at")}
    write_model(tmp_path, {**same, "symbols": symbols}, card)
    return tmp_path


def reseal(folder: Path) -> None:
    seal = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (MODEL, CARD)}
    (folder / SEAL).write_text(json.dumps(seal))


def change(folder: Path, name: str, edit: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((folder / name).read_text())
    edit(values)
    (folder / name).write_text(json.dumps(values))
    reseal(folder)


def test_what_was_written_is_read(folder: Path) -> None:
    bundle, card = read_model_folder(folder)
    assert read_model(bundle["symbols"][SYMBOL]).count == 2
    assert card.version == bundle["version"]


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        (MODEL, lambda values: values.pop("symbols")),
        (MODEL, lambda values: values.pop("version")),
        (MODEL, lambda values: values.update(code="print()")),
        (MODEL, lambda values: values.update(symbols=[1])),
        (MODEL, lambda values: values.update(version="rm-000000000000")),
        (MODEL, lambda values: values.update(feature_schema="bars-v9")),
        (MODEL, lambda values: values["symbols"][SYMBOL]["means"][0].__setitem__(0, math.nan)),
        (MODEL, lambda values: values["symbols"][SYMBOL].update(bars=7)),
        (CARD, lambda values: values.update(surprise=1)),
        (CARD, lambda values: values.pop("kind")),
        (CARD, lambda values: values.update(symbols=5)),
    ],
)
def test_nonsense_under_a_fresh_seal_is_untrusted(
    folder: Path, name: str, edit: Callable[[dict[str, Any]], object]
) -> None:
    change(folder, name, edit)
    with pytest.raises(ModelUntrusted):
        read_model_folder(folder)


@pytest.mark.parametrize("name", [MODEL, CARD])
@pytest.mark.parametrize(
    ("part", "value"),
    [("interval", "1h"), ("kind", "jump"), ("created_at", "2020-01-01"), ("symbols", None), ("interval", ["1m"])],
)
def test_a_bundle_that_says_another_thing_than_its_card_is_refused_by_name(
    folder: Path, name: str, part: str, value: object
) -> None:
    def edit(values: dict[str, Any]) -> None:
        values[part] = value or ({**values[part], "XRPUSDT": 1} if name == MODEL else [*values[part], "XRPUSDT"])

    change(folder, name, edit)
    if name == MODEL and part == "symbols":
        # Other arrays are another version; both are made to agree on it.
        symbols = json.loads((folder / MODEL).read_text())["symbols"]
        for each in (MODEL, CARD):
            change(folder, each, lambda values: values.update(version=content_version(symbols)))
    with pytest.raises(ModelUntrusted, match=part):
        read_model_folder(folder)


def test_a_pit_of_brackets_and_a_file_too_large_are_untrusted(folder: Path) -> None:
    (folder / MODEL).write_text('{"symbols":' + "[" * 100_000 + "]" * 100_000 + "}")
    reseal(folder)
    with pytest.raises(ModelUntrusted, match="cannot be read"):
        read_model_folder(folder)
    with (folder / MODEL).open("wb") as file:
        file.truncate(60_000_000)
    with pytest.raises(ModelUntrusted, match="larger"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    "part",
    [
        {"bars": 0},
        {"trained_to_ms": 10**30},
        {"features": ["log_range", "log_range"]},
        {"means": [[1e308, 0.0], [-1e308, 0.0]]},
        {"scaler_scale": [1e-300, 1.0]},
        {"covars": [[1e-300, 1.0], [1.0, 1.0]]},
        {"kind": "oracle"},
    ],
)
def test_a_model_of_impossible_parts_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused):
        read_model(gaussian_model(2).to_dict() | part)


@pytest.mark.parametrize("values", [None, 5, [1, 2], "h2", {"kind": "h2", "factor": 12, "macro": {}, "micro": [1]}])
def test_what_is_no_object_of_parts_is_refused(values: Any) -> None:
    with pytest.raises(ModelRefused):
        read_model(values)


def test_a_hierarchy_of_no_models_is_refused() -> None:
    macro = gaussian_model(2).to_dict()
    with pytest.raises(ModelRefused):
        read_model({"kind": "h2", "factor": 12, "macro": macro, "micro": [1, 2]})


def test_full_covariances_without_spread_are_refused() -> None:
    model = correlated_model()
    with pytest.raises(ModelRefused, match="variances"):
        replace(model, covars=model.covars * 1e-40)

"""A model version as a folder: ``model.json`` (arrays), ``card.json`` and ``seal.json`` (SHA-256 of both)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from governance.model_card import ModelCard, canonical, content_version
from strategies.features import FEATURE_SCHEMA

MODEL, CARD, SEAL = "model.json", "card.json", "seal.json"
BUNDLE_PARTS = frozenset({"version", "kind", "interval", "feature_schema", "created_at", "symbols"})
#: What the card says as well: a bundle that says another thing is not the one that the card describes.
TOLD_TWICE = ("version", "kind", "interval", "feature_schema", "created_at")
_MAX_MODEL_BYTES = 50_000_000


class ModelUntrusted(Exception):
    """A version is not what was written: its files do not match their seal."""


def write_model(folder: Path, bundle: Mapping[str, Any], card: ModelCard) -> None:
    """Write arrays, card and seal into an existing folder and await the disk.

    Raises:
        ValueError: the version is not that of the arrays, or a value is not finite.
    """
    version = content_version(bundle["symbols"])
    if not version == bundle["version"] == card.version:
        raise ValueError(f"the arrays are {version}, bundle {bundle['version']}, card {card.version}")
    files = {MODEL: canonical(dict(bundle)), CARD: canonical(card.to_dict())}
    seal = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in {**files, SEAL: canonical(seal)}.items():
        write_durably(folder / name, content)


def read_model_folder(folder: Path) -> tuple[dict[str, Any], ModelCard]:
    """Return the bundle and the card of a folder that ``write_model`` made.

    Raises:
        ModelUntrusted: a file is missing, cannot be read, does not match its seal, lacks a part or holds one too many,
            or arrays and card do not say the same of what both tell.
    """
    bundle, card = read_bundle(folder), read_card(folder)
    if set(bundle) != BUNDLE_PARTS:
        raise ModelUntrusted(f"{folder.name}: {MODEL} has exactly these parts: {', '.join(sorted(BUNDLE_PARTS))}")
    for name in TOLD_TWICE:
        if bundle[name] != getattr(card, name):
            told = f"{str(bundle[name])[:40]!r} in {MODEL} and {str(getattr(card, name))[:40]!r} in {CARD}"
            raise ModelUntrusted(f"{folder.name}: {name} is {told}; train the model again")
    if set(bundle["symbols"]) != set(card.symbols):
        raise ModelUntrusted(f"{folder.name}: {MODEL} and {CARD} hold other symbols; train the model again")
    if not bundle["feature_schema"] == card.feature_schema == FEATURE_SCHEMA:
        raise ModelUntrusted(f"{folder.name}: its features are not those of the schema {FEATURE_SCHEMA}")
    return bundle, card


def read_bundle(folder: Path) -> dict[str, Any]:
    """Return the arrays of a version with what the engine asks to know of them.

    Raises:
        ModelUntrusted: as ``read_model_folder``.
    """
    bundle = sealed(folder, MODEL)
    if not isinstance(bundle.get("symbols"), dict):
        raise ModelUntrusted(f"{folder.name}: {MODEL} holds no models by symbol")
    try:
        version = content_version(bundle["symbols"])
    except ValueError as error:
        raise ModelUntrusted(f"{folder.name}: {MODEL} holds a value that is not finite") from error
    if version != bundle.get("version"):
        raise ModelUntrusted(f"{folder.name}: the arrays belong to another version")
    return bundle


def read_card(folder: Path) -> ModelCard:
    """Return the card of a version.

    Raises:
        ModelUntrusted: as ``read_model_folder``.
    """
    raw = sealed(folder, CARD)
    try:
        return ModelCard.from_dict(raw)
    except (KeyError, TypeError) as error:
        raise ModelUntrusted(f"{folder.name}: {CARD} is no model card") from error


def sealed(folder: Path, name: str) -> dict[str, Any]:
    """Return one file of a version, parsed from the very bytes that were checked.

    Raises:
        ModelUntrusted: it cannot be read or does not match its seal.
    """
    try:
        content = _read_bounded(folder / name)
        seal = json.loads(_read_bounded(folder / SEAL))
        is_sealed = seal[name] == hashlib.sha256(content).hexdigest()
        parsed = json.loads(content)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelUntrusted(f"{folder.name}: {name} cannot be read: {error}") from error
    if not is_sealed or not isinstance(parsed, dict):
        raise ModelUntrusted(f"{folder.name}: {name} does not match its seal")
    return parsed


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and await the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_MODEL_BYTES + 1)
    if len(content) > _MAX_MODEL_BYTES:
        raise ValueError(f"{path.name} is larger than {_MAX_MODEL_BYTES} bytes")
    return content

"""The model registry: one immutable folder per version, and a pointer to the champion.

``versions/rm-.../`` holds ``model.json`` (the arrays), ``card.json`` and ``seal.json`` (SHA-256 of both). The pointer
``champion.json`` keeps its history, so going back is moving it, not training again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governance.model_card import ModelCard, content_version
from governance.model_folder import ModelUntrusted, read_card, read_model_folder, write_durably, write_model
from strategies.regimes.hierarchy import H2

__all__ = ["ModelRegistry", "ModelUnknown", "ModelUntrusted", "NoChampion", "Promotion"]

_VERSION = re.compile(r"^rm-[0-9a-f]{12}$")
_HISTORY = 1000


class ModelUnknown(Exception):
    """No such version is registered."""


class NoChampion(Exception):
    """There is no champion, or none before this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One move of the pointer."""

    version: str
    at_ms: int
    by: str
    reason: str


class ModelRegistry:
    """Versions and the champion pointer below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions = folder / "versions"

    # --- versions -----------------------------------------------------------------------------------------------

    def register(self, bundle: Mapping[str, Any], card: ModelCard) -> bool:
        """Store a version for good; return False where it is there already. A crash leaves no half of it.

        Args:
            bundle: ``version, kind, interval, feature_schema, created_at, symbols`` in JSON values.

        Raises:
            ValueError: the version is not that of the arrays, or a value is not finite.
        """
        version = content_version(bundle["symbols"])
        if not version == bundle["version"] == card.version:
            raise ValueError(f"the arrays are {version}, bundle {bundle['version']}, card {card.version}")
        if (self._versions / version).exists():
            return False
        self._versions.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._versions))
        write_model(draft, bundle, card)
        try:
            draft.rename(self._versions / version)
        except OSError:
            shutil.rmtree(draft)
            if not (self._versions / version).exists():
                raise
            return False  # another process registered the same arrays meanwhile
        _sync(self._versions)
        return True

    def versions(self) -> list[ModelCard]:
        """Return the cards of all versions, oldest first.

        Raises:
            ModelUntrusted: a version's files do not match their seal.
        """
        names = [path.name for path in self._versions.glob("rm-*")] if self._versions.exists() else []
        return sorted((self.card(name) for name in names), key=lambda card: (card.created_at, card.version))

    def newest(self) -> ModelCard | None:
        """Return the card of the candidate made last: a two-level model infers, and is never one.

        Raises:
            ModelUntrusted: a version's files do not match their seal.
        """
        return next((card for card in reversed(self.versions()) if card.kind != H2), None)

    def card(self, version: str) -> ModelCard:
        """Return a version's card.

        Raises:
            ModelUnknown: it is not registered.
            ModelUntrusted: its files do not match their seal.
        """
        return read_card(self._version(version))

    def bundle(self, version: str) -> dict[str, Any]:
        """Return a version's arrays as they are sent to the engine.

        Raises:
            ModelUnknown: it is not registered.
            ModelUntrusted: its files do not match their seal.
        """
        bundle, _ = read_model_folder(self._version(version))
        if bundle["version"] != version:
            raise ModelUntrusted(f"{version}: the arrays belong to another version")
        return bundle

    # --- the pointer ----------------------------------------------------------------------------------------------

    def champion(self) -> str | None:
        """Return the version in force, ``None`` before the first promotion."""
        history = self.history()
        return history[-1].version if history else None

    def history(self) -> list[Promotion]:
        """Return every move of the pointer, oldest first."""
        path = self._folder / "champion.json"
        if not path.exists():
            return []
        return [Promotion(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["history"]]

    def promote(self, version: str, *, at_ms: int, by: str, reason: str) -> None:
        """Make a version the champion; nothing happens where it is already.

        Raises:
            ModelUnknown: it is not registered.
            ModelUntrusted: its files do not match their seal.
        """
        self.bundle(version)
        if self.champion() != version:
            self._point([*self.history(), Promotion(version=version, at_ms=at_ms, by=by, reason=reason)])

    def previous(self) -> str:
        """Return the champion before the present one: what a roll-back goes to.

        Only what came before the present champion's first promotion counts, so that a second roll-back goes
        further back instead of returning to what the first one left.

        Raises:
            NoChampion: there is none.
        """
        versions = [move.version for move in self.history()]
        earlier = versions[: versions.index(versions[-1])] if versions else []
        if not earlier:
            raise NoChampion("there is no earlier champion to go back to")
        return earlier[-1]

    def roll_back(self, *, at_ms: int, by: str, reason: str) -> str:
        """Make the previous champion the champion again and return its version.

        Raises:
            NoChampion: there is none before the present one.
            ModelUntrusted: its files do not match their seal.
        """
        version = self.previous()
        self.promote(version, at_ms=at_ms, by=by, reason=f"roll-back: {reason}")
        return version

    # --- details ------------------------------------------------------------------------------------------------

    def _version(self, version: str) -> Path:
        folder = self._versions / version
        if not _VERSION.fullmatch(version) or not folder.is_dir() or folder.is_symlink():
            raise ModelUnknown(f"no model {version[:64]!r} is registered")
        return folder

    def _point(self, history: list[Promotion]) -> None:
        entries = [
            {"version": move.version, "at_ms": move.at_ms, "by": move.by, "reason": move.reason}
            for move in history[-_HISTORY:]
        ]
        temporary = self._folder / f".champion.{os.getpid()}"
        write_durably(temporary, json.dumps({"champion": entries[-1]["version"], "history": entries}).encode())
        temporary.replace(self._folder / "champion.json")
        _sync(self._folder)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Where an engine keeps its files, below the home folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EngineFiles:
    """Paths below ``home``; nothing is created by asking."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "engine"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.sqlite3"

    @property
    def chain_key(self) -> Path:
        return self.folder / "chain.key"

    @property
    def instance_key(self) -> Path:
        return self.folder / "instance.key"

    @property
    def lease(self) -> Path:
        return self.folder / "engine.lock"

    @property
    def snapshots(self) -> Path:
        return self.folder / "snapshots"

    @property
    def audit(self) -> Path:
        return self.folder / "audit"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.json"

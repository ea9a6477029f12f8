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
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def root_key(self) -> Path:
        """The journal's root key: for checking only; it may be kept elsewhere."""
        return self.keys / "journal.root"

    @property
    def key_state(self) -> Path:
        """The key of the next row."""
        return self.keys / "journal.key"

    @property
    def audit_key(self) -> Path:
        return self.keys / "audit.key"

    @property
    def old_root_key(self) -> Path:
        """Where the root key of the first version stands."""
        return self.folder / "chain.key"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go unless a setting says otherwise."""
        return self.home / "checkpoints.jsonl"

    @property
    def instance_key(self) -> Path:
        return self.folder / "instance.key"

    @property
    def lease(self) -> Path:
        return self.folder / "engine.lock"

    @property
    def halt_note(self) -> Path:
        """The halt that the journal could not take."""
        return self.folder / "halt.note"

    @property
    def snapshots(self) -> Path:
        return self.folder / "snapshots"

    @property
    def audit(self) -> Path:
        return self.folder / "audit"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.json"

    @property
    def callers(self) -> Path:
        """Named callers beside the engine's own tokens, by digest."""
        return self.folder / "callers.json"

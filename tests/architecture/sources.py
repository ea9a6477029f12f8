"""The project's own source files and what they import, read as text: nothing of them is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("orchestration", "assets", "governance", "engine_service", "strategies", "warehouse", "observability")


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: its path from the root, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    def imports(self) -> set[str]:
        """Return the full names of everything imported anywhere in the file, also inside functions."""
        return {name for node in ast.walk(self.tree) for name in _names(node)}

    def imports_any(self, *packages: str) -> bool:
        """True where one of the packages, or a module inside it, is imported."""
        return any(name == package or name.startswith(package + ".") for name in self.imports() for package in packages)


def sources(*folders: str) -> Iterator[Source]:
    """Yield every Python file below the folders (all packages when none is given), in order."""
    for folder in folders or PACKAGES:
        base = ROOT / folder
        for path in sorted(base.rglob("*.py")) if base.is_dir() else [base]:
            text = path.read_text(encoding="utf-8")
            yield Source(path.relative_to(ROOT).as_posix(), text, ast.parse(text))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)

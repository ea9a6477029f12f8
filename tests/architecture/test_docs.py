"""Documents tell the truth: generated pages are current, and what a page names exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.reference import FOLDER, pages
from tests.architecture.sources import ROOT

PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
PATH = re.compile(
    r"`((?:engine_service|strategies|assets|orchestration|governance|warehouse|observability|tests|config|docs)/[\w./-]*)`"
)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
CODE = re.compile(r"^```(?:sh|console)?\n(.*?)^```|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
MAKE = re.compile(r"(?:^|[\s(])make ([a-z][a-z-]*)")
RUNBOOK = re.compile(r"docs/runbooks/[a-z-]+\.md")
NHMM = re.compile(r"(?:^|[\s/])nhmm ([a-z]+)([^#|&;\n]*)")
FLAG = re.compile(r"(?<!\S)(--[a-z][a-z-]*)")
#: Commands that hand their options to a module's own parser.
OWN_PARSER = {
    "engine": "engine_service/main.py",
    "exporter": "engine_service/main.py",
    "exchange": "engine_service/exchange_sim/arguments.py",
    "ops": "governance/ops_api/main.py",
    "replay": "engine_service/storage/replay.py",
}


@pytest.mark.parametrize("name", sorted(pages()))
def test_generated_pages_are_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "run: make docs"


def test_named_files_exist() -> None:
    missing = [
        f"{page.name}: {name}"
        for page in PAGES
        for name in PATH.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / name).exists() and "<" not in name
    ]
    assert missing == []


def test_every_runbook_that_the_code_names_exists_and_none_is_forgotten() -> None:
    sources = [*(ROOT / "orchestration").glob("*.py"), *(ROOT / "observability").rglob("*.yml")]
    named = {name for path in sources for name in RUNBOOK.findall(path.read_text(encoding="utf-8"))}
    assert named == {f"docs/runbooks/{page.name}" for page in (ROOT / "docs" / "runbooks").glob("*.md")}


def test_links_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def said(pages: list[Path]) -> str:
    """Return what the pages print as code, without prose; a line that ends in a backslash goes on in the next."""
    found = [block or inline for page in pages for block, inline in CODE.findall(page.read_text(encoding="utf-8"))]
    return "\n".join(found).replace("\\\n", " ")


def test_named_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(MAKE.findall(said(PAGES)))
    assert {"demo", "test", "bench"} <= named
    assert named <= targets


def test_named_commands_exist_with_their_options() -> None:
    from typer.main import get_command  # noqa: PLC0415  # the command line is only needed here

    from orchestration.cli.app import app  # noqa: PLC0415  # as above

    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group, which its type does not say
    named = NHMM.findall(said(PAGES))
    assert len(named) > 20
    unknown = {name for name, _ in named if name not in commands}
    for name, rest in named:
        if name in commands:
            known = options(name, commands[name])
            unknown |= {f"{name} {flag}" for flag in FLAG.findall(rest) if flag not in known}
    assert unknown == set()


def options(name: str, command: Any) -> set[str]:
    """Return every option of a command, those of the commands below it included."""
    if name in OWN_PARSER:
        return set(re.findall(r'"(--[a-z-]+)"', (ROOT / OWN_PARSER[name]).read_text(encoding="utf-8"))) | {"--help"}
    below = getattr(command, "commands", {}).values()
    own = {flag for parameter in command.params for flag in parameter.opts}
    return own.union({"--help"}, *(options("", each) for each in below))

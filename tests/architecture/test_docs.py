"""Documents tell the truth: generated pages are current, and what a page names exists."""

from __future__ import annotations

import re

import pytest

from tests.architecture.reference import FOLDER, pages
from tests.architecture.sources import ROOT

PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
PATH = re.compile(
    r"`((?:engine_service|strategies|assets|orchestration|governance|warehouse|observability|tests|config|docs)/[\w./-]*)`"
)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
MAKE = re.compile(r"`make ([a-z-]+)")
RUNBOOK = re.compile(r"docs/runbooks/[a-z-]+\.md")
NHMM = re.compile(r"`(?:\.venv/bin/)?nhmm ([a-z]+)")


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


def test_named_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {target for page in PAGES for target in MAKE.findall(page.read_text(encoding="utf-8"))}
    assert named <= targets


def test_named_commands_exist() -> None:
    from orchestration.cli.app import app  # noqa: PLC0415  # the command line is only needed here

    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {str(group.name) for group in app.registered_groups}
    named = {command for page in PAGES for command in NHMM.findall(page.read_text(encoding="utf-8"))}
    assert named <= known

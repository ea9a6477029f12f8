"""Dagster's own page in a real browser, after the demo."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.conftest import RunningDemo

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the web page was not looked at"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"],
        )
        yield browser.new_page(viewport={"width": 1500, "height": 1000})
        browser.close()


def test_the_asset_graph_is_materialised(demo: RunningDemo, page: Page) -> None:
    page.goto(f"{demo.dagster_url}/asset-groups", wait_until="domcontentloaded")
    for group in ("market_data", "models", "trading"):
        node = page.get_by_text(group, exact=True).last
        node.wait_for(timeout=60_000)
        node.dblclick()
    for name in ("universe", "bars", "features", "training", "evaluation", "promotion", "fills", "reconciliation"):
        page.get_by_text(name, exact=True).last.wait_for(timeout=60_000)


def test_the_checks_are_green(demo: RunningDemo, page: Page) -> None:
    page.goto(f"{demo.dagster_url}/assets/bars?view=checks", wait_until="domcontentloaded")
    page.get_by_text("Passed").first.wait_for(timeout=60_000)


def test_the_evaluation_shows_its_plots(demo: RunningDemo, page: Page) -> None:
    page.goto(f"{demo.dagster_url}/assets/evaluation", wait_until="domcontentloaded")
    page.get_by_text("Show Markdown").first.click(timeout=60_000)
    page.locator("img[src^='data:image/png']").first.wait_for(timeout=60_000)

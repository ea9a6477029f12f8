"""The report is one page that needs nothing but itself."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from orchestration.cli.report import FillMark, RegimeRow, ReportData, SymbolStory, render

BARS = [RegimeRow(1000 * n, 100.0 + n, n // 3 % 2, (0.7, 0.3)) for n in range(12)]
STORY = SymbolStory("BTCUSDT.BINANCE", BARS, [FillMark(3000, 103.0, "BUY"), FillMark(6000, 106.0, "SELL")], ["a", "b"])
DATA = ReportData(
    title="Nautilus HMM demo",
    figures={"orders": "3", "fills": "2"},
    stories=[STORY],
    equity_at_ms=[1000, 2000, 3000],
    equity=[100.0, 101.0, 99.0],
    buy_and_hold=[100.0, 100.5, 100.2],
    rejected={"ORDER_RATE_EXCEEDED": 2},
)


class Links(HTMLParser):
    """Collects every address the page would load, and the texts it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Links:
    links = Links()
    links.feed(page)
    return links


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = render(DATA)
    found = read(page)
    assert found.addresses
    assert all(address.startswith("data:image/png;base64,") for address in found.addresses)
    assert "script" not in found.tags
    assert not re.search(r"@import|url\(", page)


def test_it_has_a_picture_of_equity_rails_and_each_symbol() -> None:
    found = read(render(replace(DATA, stories=[STORY, replace(STORY, symbol="ETHUSDT.BINANCE")])))
    assert found.tags.count("img") == 4
    assert "ETHUSDT.BINANCE: price by regime" in found.text


def test_figures_stand_in_the_table() -> None:
    assert "orders3fills2" in read(render(DATA)).text.replace("\n", "")


def test_text_cannot_become_markup() -> None:
    hostile = '<script>alert("x")</script>'
    found = read(render(replace(DATA, title=hostile, figures={hostile: hostile}, stories=[])))
    assert "script" not in found.tags
    assert found.text.count(hostile) == 4


def test_a_run_without_bars_samples_or_refusals_still_has_a_page() -> None:
    empty = replace(DATA, stories=[replace(STORY, bars=[], fills=[])], equity_at_ms=[], equity=[], buy_and_hold=[])
    assert read(render(replace(empty, rejected={}))).tags.count("img") == 3


def test_more_regimes_than_colours_are_drawn() -> None:
    shares = tuple([0.125] * 8)
    bars = [RegimeRow(1000 * n, 100.0, n % 8, shares) for n in range(16)]
    story = replace(STORY, bars=bars, labels=[f"regime {n}" for n in range(8)])
    assert read(render(replace(DATA, stories=[story]))).tags.count("img") == 3

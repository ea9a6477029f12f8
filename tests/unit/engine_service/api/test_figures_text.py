"""The figures' text: fresh for those who ask now and then, written seldom in a flood."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from engine_service.api.figures_text import AT_ONCE, PER_S, FiguresText


class Figures:
    """A registry that counts how often it was brought up to date."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.written = 0
        registry = CollectorRegistry()
        self._gauge = Gauge("written", "How often.", registry=registry)
        self.text = FiguresText(registry, self._count, lambda: self.now_s)

    def _count(self) -> None:
        self.written += 1
        self._gauge.set(self.written)


def test_who_asks_now_and_then_gets_the_figures_of_that_moment() -> None:
    figures = Figures()
    for number in range(1, 200):
        assert f"written {number}.0" in figures.text.text().decode()
        figures.now_s += 1 / PER_S


def test_a_flood_gets_a_text_that_is_half_a_second_old_at_most() -> None:
    figures = Figures()
    for _ in range(10_000):
        assert figures.text.text()
        figures.now_s += 0.001
    assert figures.written <= AT_ONCE + 10 * PER_S + 1
    newest = figures.written
    figures.now_s += 1 / PER_S
    assert f"written {newest + 1}.0" in figures.text.text().decode()

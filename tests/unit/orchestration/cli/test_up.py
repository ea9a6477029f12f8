"""Which bars ``nhmm up`` runs on: those asked for, else one-second ones on the simulated exchange."""

from __future__ import annotations

import pytest

from orchestration.cli import app, up
from orchestration.cli.layout import Home, Ports
from orchestration.cli.simulated import DEMO_INTERVAL
from orchestration.cli.up import UpOptions


@pytest.mark.parametrize(
    ("venue", "interval", "found"),
    [(None, None, DEMO_INTERVAL), (None, "1m", "1m"), ("paper", None, None), ("paper", "5m", "5m")],
)
def test_bars_are_as_long_as_asked_for(
    monkeypatch: pytest.MonkeyPatch, venue: str | None, interval: str | None, found: str | None
) -> None:
    for name in ("NHMM_VENUE", "NHMM_VENUE_URL"):
        monkeypatch.delenv(name, raising=False)
    options = UpOptions(venue=venue, venue_url=None, seed=1, ports=Ports(1, 2, 3, 4), interval=interval)
    assert options.interval_in_force == found


def test_the_length_reaches_the_options(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    seen: list[UpOptions] = []

    def run(options: UpOptions, _home: Home) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(up, "run", run)
    app.app(["up", "--interval", "1m", "--home", str(tmp_path)], standalone_mode=False)
    assert [options.interval for options in seen] == ["1m"]

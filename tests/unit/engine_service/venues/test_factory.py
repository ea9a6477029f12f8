"""The settings' venue names and what they make."""

from pathlib import Path

import pytest

from engine_service.domain.errors import ConfigurationError
from engine_service.domain.ids import Market
from engine_service.venues.factory import PaperOptions, VenueKind, VenueOptions, make_venue


@pytest.mark.parametrize(
    ("kind", "markets", "account"),
    [
        ("binance", (Market.SPOT,), "main"),
        ("binance-futures", (Market.FUTURES,), "main"),
        ("paper", (Market.SPOT,), "paper"),
    ],
)
def test_every_name_makes_its_venue_under_one_symbol_suffix(
    tmp_path: Path, kind: VenueKind, markets: tuple[Market, ...], account: str
) -> None:
    info = make_venue(VenueOptions(kind=kind, home=tmp_path, api_key="key", api_secret="secret")).info
    assert (info.name, info.markets, info.account) == ("BINANCE", markets, account)


def test_the_fence_of_binance_is_eighteen_seconds(tmp_path: Path) -> None:
    options = VenueOptions(kind="binance", home=tmp_path, api_key="key", api_secret="secret")
    assert make_venue(options).info.window.fence_ms == 18_000


def test_a_paper_account_needs_no_keys_and_may_short_on_futures_only(tmp_path: Path) -> None:
    paper = PaperOptions(market=Market.FUTURES)
    assert make_venue(VenueOptions(kind="paper", home=tmp_path, paper=paper)).info.can_short == {Market.FUTURES}
    assert make_venue(VenueOptions(kind="paper", home=tmp_path)).info.can_short == set()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"kind": "binance"}, "VENUE_KEYS_MISSING"),
        ({"kind": "paper", "url": "127.0.0.1:8010"}, "VENUE_URL_INVALID"),
        ({"kind": "paper", "url": "http://127.0.0.1:8010/api"}, "VENUE_URL_INVALID"),
    ],
)
def test_what_cannot_work_is_told_with_a_code_before_anything_is_opened(
    tmp_path: Path, options: dict[str, str], code: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_venue(VenueOptions(home=tmp_path, **options))  # type: ignore[arg-type]  # names come as plain text
    assert caught.value.code == code

"""The listed symbols of both markets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.errors import invalid_symbol
from engine_service.exchange_sim.listing import Listing
from engine_service.exchange_sim.model import SymbolSpec


class Listings(Mapping[tuple[Market, str], Listing]):
    """Listings by market and symbol."""

    def __init__(self, listings: list[Listing]) -> None:
        self._by_place = {(x.spec.market, x.spec.symbol): x for x in listings}

    def __getitem__(self, place: tuple[Market, str]) -> Listing:
        """Raises ExchangeError(-1121) where the market does not list the symbol."""
        found = self._by_place.get(place)
        if found is None:
            raise invalid_symbol()
        return found

    def __iter__(self) -> Iterator[tuple[Market, str]]:
        return iter(self._by_place)

    def __len__(self) -> int:
        return len(self._by_place)

    def __contains__(self, place: object) -> bool:
        return place in self._by_place

    def of(self, market: Market) -> list[Listing]:
        return [x for (place, _), x in self._by_place.items() if place is market]

    def specs(self, market: Market) -> dict[str, SymbolSpec]:
        return {x.spec.symbol: x.spec for x in self.of(market)}

    def spot_price(self, symbol: str) -> Decimal | None:
        """Last spot price, None where the symbol is not listed."""
        listing = self._by_place.get((Market.SPOT, symbol))
        return listing.last_price if listing else None

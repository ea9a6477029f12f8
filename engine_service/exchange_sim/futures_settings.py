"""What an account has chosen on USD-M: leverage and margin type per symbol, hedge mode."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine_service.exchange_sim.enums import MarginType, PositionSide

DEFAULT_LEVERAGE = 20


@dataclass(slots=True)
class FuturesSettings:
    """Choices of all accounts; what was never chosen has the venue's default."""

    _leverage: dict[tuple[str, str], int] = field(default_factory=dict)
    _margin_type: dict[tuple[str, str], MarginType] = field(default_factory=dict)
    _hedge: set[str] = field(default_factory=set)

    def leverage(self, account_id: str, symbol: str) -> int:
        return self._leverage.get((account_id, symbol), DEFAULT_LEVERAGE)

    def set_leverage(self, account_id: str, symbol: str, leverage: int) -> None:
        self._leverage[account_id, symbol] = leverage

    def margin_type(self, account_id: str, symbol: str) -> MarginType:
        return self._margin_type.get((account_id, symbol), MarginType.CROSSED)

    def set_margin_type(self, account_id: str, symbol: str, margin_type: MarginType) -> None:
        self._margin_type[account_id, symbol] = margin_type

    def is_hedge_mode(self, account_id: str) -> bool:
        return account_id in self._hedge

    def set_hedge_mode(self, account_id: str, on: bool) -> None:
        if on:
            self._hedge.add(account_id)
        else:
            self._hedge.discard(account_id)

    def position_sides(self, account_id: str) -> tuple[PositionSide, ...]:
        """The sides a symbol's position may have in the account's mode."""
        if self.is_hedge_mode(account_id):
            return (PositionSide.LONG, PositionSide.SHORT)
        return (PositionSide.BOTH,)

"""USD-M money, exact: wallets and positions.

A position is a signed quantity and a signed cost (what was paid for it in quote). For every account
wallet - cost only changes by cash, so over all accounts, the market maker's included,
sum(wallet) - sum(cost) + fees = deposits to the last digit: realised PnL may be rounded, it moves between
wallet and cost of one account and is never lost.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from engine_service.exchange_sim.enums import PositionSide
from engine_service.exchange_sim.model import ZERO

MONEY_DIGITS = Decimal("1E-8")


@dataclass(slots=True)
class Holding:
    """A position's books. `quantity` and `cost` are signed; both are zero when flat."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    updated_ms: int = 0

    @property
    def entry_price(self) -> Decimal:
        """Quote per base, rounded to eight digits for display; the books keep the cost."""
        if not self.quantity:
            return ZERO
        return (self.cost / self.quantity).quantize(MONEY_DIGITS)

    def unrealised(self, mark: Decimal) -> Decimal:
        return self.quantity * mark - self.cost


class FuturesLedger:
    """Wallets by account and asset, when each last changed, holdings by account, symbol and position side."""

    def __init__(self) -> None:
        self.wallets: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.changed_ms: dict[tuple[str, str], int] = {}
        self.holdings: dict[tuple[str, str, PositionSide], Holding] = {}
        self.deposits: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        self.fees: dict[str, Decimal] = defaultdict(Decimal)

    def holding(self, account_id: str, symbol: str, side: PositionSide) -> Holding:
        return self.holdings.setdefault((account_id, symbol, side), Holding())

    def deposit(self, account_id: str, asset: str, amount: Decimal, at_ms: int) -> None:
        self._pay(account_id, asset, amount, at_ms)
        self.deposits[account_id][asset] += amount

    def trade(
        self,
        account_id: str,
        symbol: str,
        side: PositionSide,
        signed_quantity: Decimal,
        price: Decimal,
        asset: str,
        at_ms: int,
    ) -> Decimal:
        """Apply one side of a match to a position; returns the realised PnL (average cost method)."""
        holding = self.holding(account_id, symbol, side)
        holding.updated_ms = at_ms
        closes = holding.quantity * signed_quantity < 0
        if not closes:
            holding.quantity += signed_quantity
            holding.cost += signed_quantity * price
            return ZERO
        closing = min(abs(signed_quantity), abs(holding.quantity))
        closing = closing if signed_quantity > 0 else -closing
        realised = self._close(holding, closing, price)
        self._pay(account_id, asset, realised, at_ms)
        opening = signed_quantity - closing
        if opening:
            holding.quantity += opening
            holding.cost += opening * price
        return realised

    def _close(self, holding: Holding, closing: Decimal, price: Decimal) -> Decimal:
        """Trade `closing` (signed against the position); what is realised leaves the cost."""
        after = holding.quantity + closing
        if after:
            gained = (-closing * (price - holding.cost / holding.quantity)).quantize(MONEY_DIGITS, ROUND_HALF_EVEN)
        else:
            gained = -closing * price - holding.cost
        holding.quantity = after
        holding.cost += closing * price + gained
        holding.realised += gained
        return gained

    def charge_fee(self, account_id: str, asset: str, amount: Decimal, at_ms: int) -> None:
        self._pay(account_id, asset, -amount, at_ms)
        self.fees[asset] += amount

    def transfer(self, payer: str, receiver: str, asset: str, amount: Decimal, at_ms: int) -> None:
        """Cash between two accounts (funding, insurance); negative flows the other way."""
        self._pay(payer, asset, -amount, at_ms)
        self._pay(receiver, asset, amount, at_ms)

    def _pay(self, account_id: str, asset: str, amount: Decimal, at_ms: int) -> None:
        self.wallets[account_id, asset] += amount
        self.changed_ms[account_id, asset] = at_ms

    def holdings_of(self, account_id: str) -> dict[tuple[str, PositionSide], Holding]:
        return {
            (symbol, side): holding
            for (account, symbol, side), holding in self.holdings.items()
            if account == account_id
        }

    def conservation(self, quote_of: dict[str, str]) -> dict[str, Decimal]:
        """Deposits - fees - sum(wallet) + sum(cost) per asset: zero everywhere, always.

        Args:
            quote_of: margin asset by symbol.
        """
        rest: dict[str, Decimal] = defaultdict(Decimal)
        for by_asset in self.deposits.values():
            for asset, amount in by_asset.items():
                rest[asset] += amount
        for (_, asset), wallet in self.wallets.items():
            rest[asset] -= wallet
        for (_, symbol, _), holding in self.holdings.items():
            rest[quote_of[symbol]] += holding.cost
        for asset, amount in self.fees.items():
            rest[asset] -= amount
        return dict(rest)

    def open_interest(self, symbol: str) -> Decimal:
        """Return what is held long of a symbol over all accounts, in base units; as much is held short."""
        of_symbol = (held.quantity for (_, name, _), held in self.holdings.items() if name == symbol)
        return sum((quantity for quantity in of_symbol if quantity > 0), ZERO)

    def open_interest_balance(self) -> dict[str, Decimal]:
        """Signed quantities summed per symbol: zero everywhere, always."""
        rest: dict[str, Decimal] = defaultdict(Decimal)
        for (_, symbol, _), holding in self.holdings.items():
            rest[symbol] += holding.quantity
        return dict(rest)

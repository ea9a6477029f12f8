"""Margin of USD-M accounts, after the venue's published formulas (single-asset mode).

Initial margin of a symbol = max(|position + open buys|, |position - open sells|) / leverage in notional at mark
and limit prices; orders that may only close need none.
Maintenance margin = |position notional| x the first bracket's rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from engine_service.exchange_sim.enums import MarginType, Market, PositionSide, Side
from engine_service.exchange_sim.futures_ledger import MONEY_DIGITS, FuturesLedger, Holding
from engine_service.exchange_sim.futures_settings import FuturesSettings
from engine_service.exchange_sim.model import ZERO, FuturesBalance, Position, SimOrder, SymbolSpec
from engine_service.exchange_sim.order_store import OrderStore

_FLAT = Holding()


@dataclass(frozen=True, slots=True)
class OpenNotional:
    """Limit notional of open orders that may open, by side."""

    buys: Decimal = ZERO
    sells: Decimal = ZERO


class FuturesMargin:
    """Positions and balances as the venue shows them, computed from the books."""

    def __init__(
        self,
        ledger: FuturesLedger,
        settings: FuturesSettings,
        store: OrderStore,
        specs: Mapping[str, SymbolSpec],
        mark_of: Callable[[str], Decimal],
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._store = store
        self._specs = specs
        self._mark_of = mark_of

    def is_closing(self, order: SimOrder) -> bool:
        """Whether an order may only reduce a position."""
        if order.position_side is PositionSide.BOTH:
            return order.reduce_only
        return (order.position_side is PositionSide.LONG) is (order.side is Side.SELL)

    def closable(self, account_id: str, symbol: str, position_side: PositionSide, side: Side) -> Decimal:
        """Base quantity of the position that an order of `side` would close."""
        holding = self._ledger.holdings.get((account_id, symbol, position_side), _FLAT)
        return max(ZERO, -side.sign * holding.quantity)

    def initial_margin(self, account_id: str, symbol: str, extra: OpenNotional | None = None) -> Decimal:
        """Initial margin of a symbol, with an order that is not open yet where one is given."""
        leverage = self._settings.leverage(account_id, symbol)
        mark = self._mark_of(symbol)
        total = ZERO
        for side in self._settings.position_sides(account_id):
            held = self._ledger.holdings.get((account_id, symbol, side), _FLAT).quantity * mark
            waiting = self._open_notional(account_id, symbol, side)
            more = extra or OpenNotional()
            if side is PositionSide.BOTH:
                total += max(abs(held + waiting.buys + more.buys), abs(held - waiting.sells - more.sells))
            elif side is PositionSide.LONG:
                total += abs(held) + waiting.buys + more.buys
            else:
                total += abs(held) + waiting.sells + more.sells
        return total / leverage

    def _open_notional(self, account_id: str, symbol: str, side: PositionSide) -> OpenNotional:
        buys = sells = ZERO
        for order in self._store.open_orders(account_id, Market.FUTURES, symbol):
            if order.position_side is not side or self.is_closing(order):
                continue
            if order.side is Side.BUY:
                buys += order.price * order.remaining
            else:
                sells += order.price * order.remaining
        return OpenNotional(buys, sells)

    def position(self, account_id: str, symbol: str, side: PositionSide) -> Position:
        spec = self._specs[symbol]
        holding = self._ledger.holdings.get((account_id, symbol, side), _FLAT)
        mark = self._mark_of(symbol)
        leverage = self._settings.leverage(account_id, symbol)
        margin_type = self._settings.margin_type(account_id, symbol)
        notional = abs(holding.quantity * mark)
        held_margin = _money(notional / leverage)
        all_margin = _money(self.initial_margin(account_id, symbol))
        isolated = margin_type is MarginType.ISOLATED and bool(holding.quantity)
        isolated_wallet = _money(abs(holding.cost) / leverage) if isolated else ZERO
        unrealised = _money(holding.unrealised(mark))
        return Position(
            symbol=symbol,
            side=side,
            quantity=holding.quantity,
            entry_price=holding.entry_price,
            break_even_price=_break_even(holding),
            mark_price=mark,
            unrealised_pnl=unrealised,
            realised_pnl=holding.realised,
            liquidation_price=self._liquidation_price(account_id, spec, holding, isolated_wallet),
            leverage=leverage,
            margin_type=margin_type,
            isolated_margin=isolated_wallet + unrealised if isolated else ZERO,
            isolated_wallet=isolated_wallet,
            initial_margin=max(all_margin, held_margin),
            position_initial_margin=held_margin,
            open_order_initial_margin=max(ZERO, all_margin - held_margin),
            maintenance_margin=_money(notional * spec.maintenance_margin_frac),
            max_notional=max_notional(spec, leverage),
            updated_ms=holding.updated_ms,
        )

    def positions(self, account_id: str, symbol: str | None = None) -> list[Position]:
        """Every symbol's positions in the account's mode, flat ones too."""
        symbols = self._specs if symbol is None else (symbol,)
        sides = self._settings.position_sides(account_id)
        return [self.position(account_id, name, side) for name in symbols for side in sides]

    def held(self, account_id: str) -> list[Position]:
        """Positions that are not flat."""
        return [
            self.position(account_id, symbol, side)
            for (symbol, side), holding in self._ledger.holdings_of(account_id).items()
            if holding.quantity
        ]

    def balance(self, account_id: str, asset: str, margin_asset: str) -> FuturesBalance:
        """An asset's wallet with its margin; only the margin asset carries any."""
        wallet = self._ledger.wallets.get((account_id, asset), ZERO)
        held = self.held(account_id) if asset == margin_asset else []
        crossed = [p for p in held if p.margin_type is MarginType.CROSSED]
        cross_wallet = wallet - sum((p.isolated_wallet for p in held), ZERO)
        unrealised = sum((p.unrealised_pnl for p in held), ZERO)
        cross_unrealised = sum((p.unrealised_pnl for p in crossed), ZERO)
        position_margin = sum((p.position_initial_margin for p in held), ZERO)
        cross_margin = sum((p.position_initial_margin for p in crossed), ZERO)
        order_margin = self._order_margin(account_id) if asset == margin_asset else ZERO
        available = cross_wallet + cross_unrealised - cross_margin - order_margin
        return FuturesBalance(
            asset=asset,
            wallet=wallet,
            cross_wallet=cross_wallet,
            unrealised_pnl=unrealised,
            cross_unrealised_pnl=cross_unrealised,
            margin_balance=wallet + unrealised,
            initial_margin=position_margin + order_margin,
            position_initial_margin=position_margin,
            open_order_initial_margin=order_margin,
            maintenance_margin=sum((p.maintenance_margin for p in held), ZERO),
            available=max(ZERO, available),
            updated_ms=self._ledger.changed_ms.get((account_id, asset), 0),
        )

    def _order_margin(self, account_id: str) -> Decimal:
        symbols = {o.symbol for o in self._store.open_orders(account_id, Market.FUTURES)}
        total = ZERO
        for symbol in symbols:
            held = sum(
                (abs(h.quantity) for (s, _), h in self._ledger.holdings_of(account_id).items() if s == symbol),
                ZERO,
            )
            margin = self.initial_margin(account_id, symbol)
            position_margin = held * self._mark_of(symbol) / self._settings.leverage(account_id, symbol)
            total += max(ZERO, _money(margin - position_margin))
        return total

    def _liquidation_price(
        self, account_id: str, spec: SymbolSpec, holding: Holding, isolated_wallet: Decimal
    ) -> Decimal:
        """Mark at which this position's margin is used up, others standing still; zero where there is none."""
        if not holding.quantity:
            return ZERO
        wallet = isolated_wallet or self._ledger.wallets.get((account_id, spec.quote_asset), ZERO)
        rate = spec.maintenance_margin_frac * abs(holding.quantity)
        price = (holding.cost - wallet) / (holding.quantity - rate)
        return max(ZERO, price.quantize(MONEY_DIGITS))


def max_notional(spec: SymbolSpec, leverage: int) -> Decimal:
    """Largest position the venue allows at a leverage: the bracket shrinks as leverage grows."""
    return Decimal(10_000_000 * spec.max_leverage // leverage)


def _break_even(holding: Holding) -> Decimal:
    """Entry price with the fees paid on the open quantity on top."""
    if not holding.quantity:
        return ZERO
    return ((holding.cost + holding.fees) / holding.quantity).quantize(MONEY_DIGITS)


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(MONEY_DIGITS)

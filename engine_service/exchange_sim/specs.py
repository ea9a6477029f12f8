"""The listed instruments with the filters the venue publishes, and filters derived for recorded symbols."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from engine_service.exchange_sim.enums import Market, OrderType
from engine_service.exchange_sim.model import SymbolSpec

SPOT_ORDER_TYPES = (
    OrderType.LIMIT,
    OrderType.LIMIT_MAKER,
    OrderType.MARKET,
    OrderType.STOP_LOSS,
    OrderType.STOP_LOSS_LIMIT,
    OrderType.TAKE_PROFIT,
    OrderType.TAKE_PROFIT_LIMIT,
)
FUTURES_ORDER_TYPES = (
    OrderType.LIMIT,
    OrderType.MARKET,
    OrderType.STOP,
    OrderType.STOP_MARKET,
    OrderType.TAKE_PROFIT,
    OrderType.TAKE_PROFIT_MARKET,
    OrderType.TRAILING_STOP_MARKET,
)
MARGIN_ASSET = "USDT"

# symbol: base, quote, tick, max price, step, max quantity, max market quantity, min notional, max notional, price
_SPOT_ROWS = {
    "BTCUSDT": ("BTC", "USDT", "0.01", "1000000", "0.00001", "9000", "120", "5", "9000000", "95000"),
    "ETHUSDT": ("ETH", "USDT", "0.01", "1000000", "0.0001", "9000", "2600", "5", "9000000", "3200"),
    "BNBUSDT": ("BNB", "USDT", "0.01", "100000", "0.001", "900000", "2000", "5", "9000000", "900"),
    "SOLUSDT": ("SOL", "USDT", "0.01", "10000", "0.001", "900000", "30000", "5", "9000000", "150"),
    "XRPUSDT": ("XRP", "USDT", "0.0001", "10000", "0.1", "9222449", "1500000", "5", "9000000", "2.9"),
    "DOGEUSDT": ("DOGE", "USDT", "0.00001", "1000", "1", "9000000", "9000000", "1", "9000000", "0.38"),
    "ETHBTC": ("ETH", "BTC", "0.00001", "922327", "0.0001", "100000", "2000", "0.0001", "9000000", "0.0337"),
}
_FUTURES_ROWS = {
    "BTCUSDT": ("BTC", "USDT", "0.1", "4529764", "0.001", "1000", "120", "50", "0", "95000"),
    "ETHUSDT": ("ETH", "USDT", "0.01", "306177", "0.001", "10000", "2000", "20", "0", "3200"),
    "BNBUSDT": ("BNB", "USDT", "0.01", "100000", "0.01", "100000", "2000", "5", "0", "900"),
    "SOLUSDT": ("SOL", "USDT", "0.01", "6857", "0.01", "1000000", "5000", "5", "0", "150"),
    "XRPUSDT": ("XRP", "USDT", "0.0001", "100000", "0.1", "10000000", "2000000", "5", "0", "2.9"),
    "DOGEUSDT": ("DOGE", "USDT", "0.00001", "30", "1", "50000000", "30000000", "5", "0", "0.38"),
}
_QUOTES = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB")
_FUTURES_BAND = Decimal("0.05")
# A quantity step worth about this much quote keeps orders of any size expressible.
_STEP_WORTH = Decimal("0.5")
_SIGNIFICANT_DIGITS = 5


def listed_symbols(market: Market) -> tuple[str, ...]:
    return tuple(_SPOT_ROWS if market is Market.SPOT else _FUTURES_ROWS)


def listed_spec(market: Market, symbol: str) -> SymbolSpec | None:
    """The catalogue's instrument, None where the market does not list it."""
    row = (_SPOT_ROWS if market is Market.SPOT else _FUTURES_ROWS).get(symbol)
    if row is None:
        return None
    base, quote, tick, max_price, step, max_qty, market_max, min_notional, max_notional, price = row
    spec = SymbolSpec(
        market=market,
        symbol=symbol,
        base_asset=base,
        quote_asset=quote,
        tick_size=Decimal(tick),
        min_price=Decimal(tick),
        max_price=Decimal(max_price),
        step_size=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(max_qty),
        market_max_quantity=Decimal(market_max),
        min_notional=Decimal(min_notional),
        max_notional=Decimal(max_notional),
        reference_price=Decimal(price),
        order_types=SPOT_ORDER_TYPES,
    )
    return _as_futures(spec) if market is Market.FUTURES else spec


def derived_spec(market: Market, symbol: str, price: Decimal) -> SymbolSpec:
    """Filters for a symbol outside the catalogue, from its price level.

    The tick keeps five significant digits of the price; the step is the power of ten worth at most half a unit of
    quote.

    Raises:
        ValueError: the name does not end in a known quote asset.
    """
    listed = listed_spec(market, symbol)
    if listed is not None:
        return replace(listed, reference_price=price)
    base, quote = split_symbol(symbol)
    tick = Decimal(1).scaleb(price.adjusted() - _SIGNIFICANT_DIGITS + 1)
    step = Decimal(1).scaleb(min(0, (_STEP_WORTH / price).adjusted()))
    most = Decimal(9_000_000) * step if step < 1 else Decimal(900_000_000)
    spec = SymbolSpec(
        market=market,
        symbol=symbol,
        base_asset=base,
        quote_asset=quote,
        tick_size=tick,
        min_price=tick,
        max_price=tick * 10**9,
        step_size=step,
        min_quantity=step,
        max_quantity=most,
        market_max_quantity=most,
        min_notional=Decimal(5),
        max_notional=Decimal(9_000_000) if market is Market.SPOT else Decimal(0),
        reference_price=price,
        order_types=SPOT_ORDER_TYPES,
    )
    return _as_futures(spec) if market is Market.FUTURES else spec


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote asset of a venue symbol.

    Raises:
        ValueError: no known quote asset at its end.
    """
    for quote in _QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    raise ValueError(f"{symbol}: ends in none of the quote assets {', '.join(_QUOTES)}")


def _as_futures(spec: SymbolSpec) -> SymbolSpec:
    return replace(
        spec,
        bid_multiplier_up=1 + _FUTURES_BAND,
        bid_multiplier_down=1 - _FUTURES_BAND,
        ask_multiplier_up=1 + _FUTURES_BAND,
        ask_multiplier_down=1 - _FUTURES_BAND,
        max_num_algo_orders=200,
        max_leverage=125 if spec.symbol == "BTCUSDT" else 100 if spec.symbol == "ETHUSDT" else 75,
        maintenance_margin_frac=Decimal("0.004") if spec.symbol == "BTCUSDT" else Decimal("0.005"),
        order_types=FUTURES_ORDER_TYPES,
    )

"""exchangeInfo: what each market lists and the rules an order must keep."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from engine_service.exchange_sim.binance_wire.ws_text import fixed, plain
from engine_service.exchange_sim.enums import OrderType, TimeInForce
from engine_service.exchange_sim.model import SymbolSpec

Payload = dict[str, object]
_Writer = Callable[[Decimal], str]
ASSET_DECIMALS = 8
_PERPETUAL_UNTIL_MS = 4_133_404_800_000
_LISTED_MS = 1_569_398_400_000
_TRAILING_RANGE = {
    "minTrailingAboveDelta": 10,
    "maxTrailingAboveDelta": 2000,
    "minTrailingBelowDelta": 10,
    "maxTrailingBelowDelta": 2000,
}


def spot_symbol(spec: SymbolSpec, show_permission_sets: bool = True) -> Payload:
    """A spot symbol. What the exchange cannot do (icebergs, lists, pegs, trailing stops) is said to be off."""
    return {
        "symbol": spec.symbol,
        "status": "TRADING",
        "baseAsset": spec.base_asset,
        "baseAssetPrecision": ASSET_DECIMALS,
        "quoteAsset": spec.quote_asset,
        "quotePrecision": ASSET_DECIMALS,
        "quoteAssetPrecision": ASSET_DECIMALS,
        "baseCommissionPrecision": ASSET_DECIMALS,
        "quoteCommissionPrecision": ASSET_DECIMALS,
        "orderTypes": [kind.value for kind in spec.order_types],
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": spot_filters(spec),
        "permissions": [],
        "permissionSets": [["SPOT"]] if show_permission_sets else [],
        "defaultSelfTradePreventionMode": spec.default_stp.value,
        "allowedSelfTradePreventionModes": [mode.value for mode in spec.stp_modes],
    }


def spot_filters(spec: SymbolSpec) -> list[Payload]:
    """The filter set that the venue publishes for a spot symbol."""
    return [
        _price_filter(spec, fixed),
        _lot_size("LOT_SIZE", spec.min_quantity, spec.max_quantity, spec.step_size, fixed),
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        _lot_size("MARKET_LOT_SIZE", Decimal(0), spec.market_max_quantity, Decimal(0), fixed),
        {"filterType": "TRAILING_DELTA", **_TRAILING_RANGE},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": plain(spec.bid_multiplier_up),
            "bidMultiplierDown": plain(spec.bid_multiplier_down),
            "askMultiplierUp": plain(spec.ask_multiplier_up),
            "askMultiplierDown": plain(spec.ask_multiplier_down),
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": fixed(spec.min_notional),
            "applyMinToMarket": True,
            "maxNotional": fixed(spec.max_notional),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": spec.max_num_orders},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": spec.max_num_algo_orders},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
    ]


def futures_symbol(spec: SymbolSpec) -> Payload:
    """A USD-M perpetual."""
    return {
        "symbol": spec.symbol,
        "pair": spec.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _PERPETUAL_UNTIL_MS,
        "onboardDate": _LISTED_MS,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base_asset,
        "quoteAsset": spec.quote_asset,
        "marginAsset": spec.quote_asset,
        "pricePrecision": spec.price_precision,
        "quantityPrecision": spec.quantity_precision,
        "baseAssetPrecision": ASSET_DECIMALS,
        "quotePrecision": ASSET_DECIMALS,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": futures_filters(spec),
        "orderTypes": [kind.value for kind in spec.order_types if kind is not OrderType.LIQUIDATION],
        "timeInForce": [tif.value for tif in TimeInForce],
        "permissionSets": ["GRID", "COPY"],
    }


def futures_filters(spec: SymbolSpec) -> list[Payload]:
    """The filter set that the venue publishes for a USD-M symbol."""
    return [
        _price_filter(spec, plain),
        _lot_size("LOT_SIZE", spec.min_quantity, spec.max_quantity, spec.step_size, plain),
        _lot_size("MARKET_LOT_SIZE", spec.min_quantity, spec.market_max_quantity, spec.step_size, plain),
        {"filterType": "MAX_NUM_ORDERS", "limit": spec.max_num_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": spec.max_num_algo_orders},
        {"filterType": "MIN_NOTIONAL", "notional": plain(spec.min_notional)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": format(spec.bid_multiplier_up, ".4f"),
            "multiplierDown": format(spec.ask_multiplier_down, ".4f"),
            "multiplierDecimal": "4",
        },
    ]


def _price_filter(spec: SymbolSpec, write: _Writer) -> Payload:
    return {
        "filterType": "PRICE_FILTER",
        "minPrice": write(spec.min_price),
        "maxPrice": write(spec.max_price),
        "tickSize": write(spec.tick_size),
    }


def _lot_size(name: str, least: Decimal, most: Decimal, step: Decimal, write: _Writer) -> Payload:
    return {"filterType": name, "minQty": write(least), "maxQty": write(most), "stepSize": write(step)}

"""The limits: one frozen value, every key flat, with its unit, its range and what it is for.

Pure: text in, ``RiskPolicy`` out. Reading the file is ``execution.risk_file``; a change at run time is a new version
that the journal keeps with who and why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from engine_service.domain.errors import FieldError, InvalidRequest
from engine_service.domain.ids import Market, instrument_id
from engine_service.domain.instrument import Instrument
from engine_service.domain.money import ZERO, plain

ANY_SYMBOL: Final = "*"
_NUMBER: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class Limit:
    """Range and meaning of one key; bounds are inclusive."""

    low: Decimal
    high: Decimal
    meaning: str
    whole: bool = False

    @property
    def range_text(self) -> str:
        """Return the range as a person reads it."""
        return f"{'a whole number' if self.whole else 'a number'} from {plain(self.low)} to {plain(self.high)}"


LIMITS: Final[Mapping[str, Limit]] = {
    "min_notional_spot": Limit(Decimal("0"), Decimal("1e9"), "Smallest value of a spot order."),
    "min_notional_futures": Limit(Decimal("0"), Decimal("1e9"), "Smallest value of a futures order."),
    "max_notional": Limit(Decimal("0"), Decimal("1e12"), "Largest value of one order."),
    "symbol_exposure_cap": Limit(
        Decimal("0"), Decimal("1e12"), "Largest exposure in one symbol, open orders included."
    ),
    "total_exposure_cap": Limit(Decimal("0"), Decimal("1e12"), "Largest gross exposure of the account."),
    "venue_exposure_cap": Limit(Decimal("0"), Decimal("1e12"), "Largest gross exposure on one venue."),
    "strategy_budget_default": Limit(Decimal("0"), Decimal("1e12"), "Exposure budget of a strategy without its own."),
    "leverage_limit": Limit(Decimal("0"), Decimal("125"), "Largest gross futures exposure as a multiple of equity."),
    "equity_floor": Limit(Decimal("0"), Decimal("1e12"), "Below this equity no order adds risk."),
    "max_drawdown_pct": Limit(Decimal("0.1"), Decimal("100"), "Largest fall from the equity peak, per cent."),
    "daily_loss": Limit(Decimal("0"), Decimal("1e12"), "Largest loss since midnight UTC."),
    "price_band_bps": Limit(Decimal("1"), Decimal("9999"), "Largest distance of a price from the mark."),
    "market_collar_bps": Limit(Decimal("0"), Decimal("5000"), "Slippage allowed for when a market order is valued."),
    "price_stale_ms": Limit(
        Decimal("1"), Decimal("3600000"), "Oldest mark an order is judged by, milliseconds.", whole=True
    ),
    "order_rate_per_min": Limit(
        Decimal("0"), Decimal("10000000"), "Orders per minute, all strategies together.", whole=True
    ),
    "strategy_order_rate_per_min": Limit(
        Decimal("0"), Decimal("10000000"), "Orders per minute of one strategy; 0 = as order_rate_per_min.", whole=True
    ),
    "duplicate_window_ms": Limit(
        Decimal("0"), Decimal("3600000"), "An equal order within this time is refused; 0 = off.", whole=True
    ),
    "quarantine_stop_outs": Limit(Decimal("1"), Decimal("1000"), "Stop-outs that quarantine a symbol.", whole=True),
    "quarantine_window_min": Limit(
        Decimal("1"), Decimal("10080"), "Time in which stop-outs are counted, minutes.", whole=True
    ),
    "quarantine_min": Limit(
        Decimal("1"), Decimal("43200"), "How long a symbol stays quarantined, minutes.", whole=True
    ),
    "breaker_error_share_pct": Limit(
        Decimal("1"), Decimal("100"), "Share of failed venue calls that opens the breaker."
    ),
    "breaker_min_calls": Limit(
        Decimal("1"), Decimal("100000"), "Calls in a minute before the share counts.", whole=True
    ),
    "breaker_open_s": Limit(
        Decimal("1"), Decimal("86400"), "How long the breaker stays open before a probe, seconds.", whole=True
    ),
    "equity_breaker_drop_pct": Limit(Decimal("0.1"), Decimal("100"), "Fall of equity within a window that opens it."),
    "equity_breaker_window_s": Limit(Decimal("1"), Decimal("86400"), "Window of that fall, seconds.", whole=True),
    "equity_breaker_open_s": Limit(
        Decimal("1"), Decimal("86400"), "How long the equity breaker stays open, seconds.", whole=True
    ),
    "max_in_doubt": Limit(
        Decimal("1"), Decimal("1000"), "Unresolved orders at which only reducing orders pass.", whole=True
    ),
    "dust_value": Limit(Decimal("0"), Decimal("1e6"), "Holdings worth less are shown as dust and left alone."),
}
WORDS: Final[Mapping[str, str]] = {
    "trading_enabled": "Whether orders may be sent at all; reduce-only orders always may.",
    "allowed_symbols": "Symbols that may be traded, BTCUSDT.BINANCE; * allows all.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPolicy:
    """Limits in force. Money is in the reporting currency. There are no defaults: a missing limit is an error."""

    trading_enabled: bool
    allowed_symbols: tuple[str, ...]
    min_notional_spot: Decimal
    min_notional_futures: Decimal
    max_notional: Decimal
    symbol_exposure_cap: Decimal
    total_exposure_cap: Decimal
    venue_exposure_cap: Decimal
    strategy_budget_default: Decimal
    leverage_limit: Decimal
    equity_floor: Decimal
    max_drawdown_pct: Decimal
    daily_loss: Decimal
    price_band_bps: Decimal
    market_collar_bps: Decimal
    price_stale_ms: Decimal
    order_rate_per_min: Decimal
    strategy_order_rate_per_min: Decimal
    duplicate_window_ms: Decimal
    quarantine_stop_outs: Decimal
    quarantine_window_min: Decimal
    quarantine_min: Decimal
    breaker_error_share_pct: Decimal
    breaker_min_calls: Decimal
    breaker_open_s: Decimal
    equity_breaker_drop_pct: Decimal
    equity_breaker_window_s: Decimal
    equity_breaker_open_s: Decimal
    max_in_doubt: Decimal
    dust_value: Decimal
    version: int = 1

    def allows(self, symbol: str) -> bool:
        """Tell whether a symbol may be traded."""
        return ANY_SYMBOL in self.allowed_symbols or symbol in self.allowed_symbols

    def smallest_value(self, instrument: Instrument, quote_rate: Decimal | None) -> Decimal:
        """Return the least an order must be worth in the reporting currency: our own limit or the venue's."""
        own = self.min_notional_futures if instrument.market is Market.FUTURES else self.min_notional_spot
        return max(own, instrument.min_notional * (quote_rate or ZERO)) if instrument.min_notional else own

    def as_text(self) -> dict[str, str]:
        """Return every key as text, as the journal and ``GET /risk/config`` show it."""
        return {name: _text(getattr(self, name)) for name in KEYS}


KEYS: Final[tuple[str, ...]] = tuple(f.name for f in fields(RiskPolicy) if f.name != "version")


def describe() -> dict[str, tuple[str, str]]:
    """Return key to (what values are allowed, meaning), for the generated documentation and error messages."""
    return {name: (_allowed(name), _meaning(name)) for name in KEYS}


def parse(values: Mapping[str, object]) -> RiskPolicy:
    """Build a policy from flat keys; all are required, none unknown.

    Raises:
        InvalidRequest: by field: ``FIELD_UNKNOWN``, ``FIELD_MISSING`` or ``RAIL_RANGE``; the detail names the
            first key and what would be allowed.
    """
    missing = [key for key in KEYS if key not in values]
    parsed, errors = _parse_fields(values)
    errors += [FieldError(key, "FIELD_MISSING") for key in missing]
    _raise_if(errors)
    return RiskPolicy(**parsed)


def changed(policy: RiskPolicy, changes: Mapping[str, object]) -> RiskPolicy:
    """Return the next version of a policy with some keys replaced.

    Raises:
        InvalidRequest: a key is unknown or a value out of range; the policy in force stays.
    """
    parsed, errors = _parse_fields(changes)
    errors += [FieldError(key, "RAIL_RANGE") for key in parsed if _badly_written(key, changes[key])]
    _raise_if(errors)
    return replace(policy, version=policy.version + 1, **parsed)


def _parse_fields(values: Mapping[str, object]) -> tuple[dict[str, Any], list[FieldError]]:
    parsed: dict[str, Any] = {}
    errors: list[FieldError] = []
    for key, value in values.items():
        if key not in KEYS:
            errors.append(FieldError(str(key)[:40], "FIELD_UNKNOWN"))
            continue
        try:
            parsed[key] = _parse_value(key, value)
        except (ValueError, TypeError):
            errors.append(FieldError(key, "RAIL_RANGE"))
    return parsed, errors


def _raise_if(errors: list[FieldError]) -> None:
    if not errors:
        return
    first = errors[0]
    if first.code == "FIELD_UNKNOWN":
        detail = f"{first.field} is no risk key; the keys are {', '.join(KEYS)}"
    elif first.code == "FIELD_MISSING":
        detail = f"{first.field} is missing; it takes {_allowed(first.field)}"
    else:
        detail = f"{first.field} takes {_allowed(first.field)}"
    raise InvalidRequest(first.code, detail, errors=errors)


def _parse_value(key: str, value: object) -> Any:
    if key == "trading_enabled":
        return _flag(value)
    if key == "allowed_symbols":
        return _symbols(value)
    limit = LIMITS[key]
    number = _decimal(value)
    if not number.is_finite() or not limit.low <= number <= limit.high:
        raise ValueError(key)
    if limit.whole and number != number.to_integral_value():
        raise ValueError(key)
    return number


def _badly_written(key: str, value: object) -> bool:
    """Tell whether a caller's value is written as no caller may write: a figure with an exponent, a sign or digits of
    other scripts; a symbol that names no instrument, which would shut out every order, closing ones too."""
    if key in LIMITS:
        return not _NUMBER.fullmatch(str(value))
    if key != "allowed_symbols":
        return False
    try:
        for symbol in _symbols(value):
            _ = symbol == ANY_SYMBOL or instrument_id(symbol)
    except ValueError:
        return True
    return False


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in {"true", "false"}:
        return value == "true"
    raise ValueError("not a flag")


def _symbols(value: object) -> tuple[str, ...]:
    words = value.split(",") if isinstance(value, str) else value
    listed = words if isinstance(words, list | tuple) else ()
    cleaned = tuple(word.strip().upper() if isinstance(word, str) else "" for word in listed)
    if not cleaned or not all(cleaned):
        raise ValueError("not a list of symbols")
    return cleaned


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise TypeError("not a number")
    text = str(value)
    if "_" in text or text != text.strip() or len(text) > 40:
        raise ValueError("not a number")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("not a number") from error


def _allowed(key: str) -> str:
    if key == "trading_enabled":
        return "true or false"
    if key == "allowed_symbols":
        return "* or a list of symbols such as BTCUSDT.BINANCE"
    return LIMITS[key].range_text


def _meaning(key: str) -> str:
    return WORDS[key] if key in WORDS else LIMITS[key].meaning


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return plain(value) if isinstance(value, Decimal) else str(value)

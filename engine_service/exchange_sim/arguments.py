"""The command line of the exchange, turned into a checked configuration."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from engine_service.exchange_sim.account_file import read_accounts
from engine_service.exchange_sim.config import DEFAULT_PORT, ConfigError, ExchangeConfig
from engine_service.exchange_sim.enums import KeyKind, Permission
from engine_service.exchange_sim.model import AccountSpec, ApiKey

_DURATION = re.compile(r"^(\d{1,7})([smh])$")
_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_HISTORY_RANGE_S = (60, 24 * 3600)
_FUNDING_RANGE_S = (10, 24 * 3600)
_ASSET = re.compile(r"^[A-Z0-9]{2,12}$")
_MAX_BALANCE = Decimal(10) ** 12
_DEMO_KEY = "demo"
_DEMO_SECRET = "demo-secret"  # noqa: S105 - the documented default of a loopback simulator


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nhmm exchange",
        description="A simulated exchange on this machine that speaks Binance's spot and USD-M protocols.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="loopback address to serve on (default 127.0.0.1)")
    add("--port", default=str(DEFAULT_PORT), help=f"1-65535 (default {DEFAULT_PORT})")
    add("--seed", default="7", help="of the market: the same seed, the same prices (default 7)")
    add("--api-key", default=_DEMO_KEY, help="key of the account `demo` (default demo)")
    add("--api-secret", default=_DEMO_SECRET, help="its HMAC secret (default demo-secret)")
    add("--balance", action="append", metavar="ASSET=AMOUNT", help="deposited in both wallets; may be repeated")
    add("--accounts", metavar="FILE", help="YAML or JSON file of several accounts, instead of the one above")
    add("--fee-bps", default="10", help="fee in basis points, 0-1000 (default 10)")
    add("--symbols", default="", metavar="A,B,...", help="list only these (default: all)")
    add("--history", default="3h", metavar="DURATION", help="past to serve: 90s, 30m, 3h; 60s-24h (default 3h)")
    add("--bars", metavar="FILE", help="replay recorded bars (Parquet: symbol, ts, open, high, low, close, volume)")
    add("--funding", default="8h", metavar="DURATION", help="between fundings: 10s-24h (default 8h)")
    add("--limit-factor", default="1", help="times the venue's own rate limits, for load tests: 1-10000 (default 1)")
    return parser


def parse_arguments(arguments: Sequence[str]) -> ExchangeConfig:
    """Raises ConfigError for a value that is not allowed; SystemExit(2) for usage, as argparse does."""
    given = make_parser().parse_args(arguments)
    if given.accounts is not None:
        if given.balance:
            raise ConfigError("--balance", given.balance[0], "not together with --accounts (the file has balances)")
        accounts = read_accounts(Path(given.accounts))
    else:
        accounts = (_single_account(given.api_key, given.api_secret, given.balance or ["USDT=100000"]),)
    return ExchangeConfig(
        accounts=accounts,
        seed=_whole("--seed", given.seed, 0, 2**31 - 1),
        fee_bps=_fee(given.fee_bps),
        symbols=_symbols(given.symbols),
        history_s=_duration("--history", given.history, _HISTORY_RANGE_S),
        bars=_existing(given.bars),
        funding_interval_ms=_duration("--funding", given.funding, _FUNDING_RANGE_S) * 1000,
        limit_factor=_whole("--limit-factor", given.limit_factor, 1, 10_000),
        host=_loopback(given.host),
        port=_whole("--port", given.port, 1, 65535),
    )


def parse_balance(argument: str, written: str) -> tuple[str, Decimal]:
    """`USDT=100000` as asset and amount. Raises ConfigError."""
    allowed = f"ASSET=AMOUNT, for example USDT=100000, amount 0 to {_MAX_BALANCE}, at most 8 decimals"
    asset, _, number = written.partition("=")
    try:
        amount = Decimal(number)
    except InvalidOperation:
        raise ConfigError(argument, written, allowed) from None
    if not _ASSET.match(asset) or not amount.is_finite() or not 0 <= amount <= _MAX_BALANCE:
        raise ConfigError(argument, written, allowed)
    if amount != round(amount, 8):
        raise ConfigError(argument, written, allowed)
    return asset, amount


def _single_account(key: str, secret: str, balances: Sequence[str]) -> AccountSpec:
    for argument, value in (("--api-key", key), ("--api-secret", secret)):
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise ConfigError(argument, value, "one or more printable ASCII characters without spaces")
    return AccountSpec(
        account_id="demo",
        keys=(ApiKey(key, KeyKind.HMAC, secret, frozenset(Permission)),),
        balances=tuple(parse_balance("--balance", written) for written in balances),
    )


def _whole(argument: str, written: str, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"\d{1,12}", written) or not lowest <= int(written) <= highest:
        raise ConfigError(argument, written, f"a whole number from {lowest} to {highest}")
    return int(written)


def _fee(written: str) -> Decimal:
    try:
        fee = Decimal(written)
    except InvalidOperation:
        fee = Decimal(-1)
    if not fee.is_finite() or not 0 <= fee <= 1000:
        raise ConfigError("--fee-bps", written, "a number of basis points from 0 to 1000")
    return fee


def _duration(argument: str, written: str, span_s: tuple[int, int]) -> int:
    lowest, highest = span_s
    found = _DURATION.match(written)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else -1
    if not lowest <= seconds <= highest:
        raise ConfigError(argument, written, f"a duration such as 90s, 30m or 3h, from {lowest}s to {highest}s")
    return seconds


def _symbols(written: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in written.split(",") if name.strip()))
    for name in names:
        if not re.fullmatch(r"[A-Z0-9]{4,20}", name):
            raise ConfigError("--symbols", name, "venue symbols such as BTCUSDT, separated by commas")
    return names


def _existing(written: str | None) -> Path | None:
    if written is None:
        return None
    path = Path(written)
    if not path.is_file():
        raise ConfigError("--bars", written, "an existing Parquet file")
    return path


def _loopback(written: str) -> str:
    if written not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError("--host", written, "127.0.0.1, ::1 or localhost: the exchange has no defences for more")
    return written

"""An account whose keys are Ed25519: signed requests, and a user stream behind a session logon."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from engine_service.domain.ids import Market
from engine_service.venues.binance.futures import BinanceFutures
from engine_service.venues.binance.spot import BinanceSpot
from engine_service.venues.port import Venue
from engine_service.venues.reports import OrderReport, StreamStatus
from tests.integration.simulated_exchange import SimulatedExchange
from tests.integration.venues.adapters import session
from tests.integration.venues.rig import Rig


@pytest.mark.anyio
async def test_an_ed25519_key_trades_and_streams_on_both_markets(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(public)
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(
        "accounts:\n  - id: ed\n    balances: {USDT: '100000'}\n"
        "    keys:\n      - {key: ed-key, public_key_file: key.pem}\n"
    )
    exchange = SimulatedExchange.start("--accounts", str(accounts), log=tmp_path / "exchange.log")
    try:
        for market, make in ((Market.SPOT, BinanceSpot), (Market.FUTURES, BinanceFutures)):
            keyed = session(market, exchange.url, tmp_path, key="ed-key", secret=secret)
            await _trade_and_hear(make(keyed), exchange, market, tmp_path)
    finally:
        exchange.stop()


async def _trade_and_hear(venue: Venue, exchange: SimulatedExchange, market: Market, home: Path) -> None:
    rig = Rig(venue, exchange, market, "ETHUSDT.BINANCE", home)
    await rig.open()
    recorder = rig.user_events()
    await recorder.until(StreamStatus, lambda status: status.connected)
    order = rig.order()
    await rig.accepted(order)
    await recorder.until(OrderReport, lambda report: report.client_order_id == order.client_order_id)
    await rig.close()

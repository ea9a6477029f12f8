from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine_service.exchange_sim.arguments import parse_arguments
from engine_service.exchange_sim.binance_wire.weights import default_limits
from engine_service.exchange_sim.bootstrap import build_exchange
from engine_service.exchange_sim.config import ConfigError
from engine_service.exchange_sim.enums import KeyKind, Market, Permission
from engine_service.exchange_sim.main import main
from tests.unit.engine_service.exchange_sim.market_floor import ALICE, NOW_MS, Floor, account


def test_the_defaults_are_one_demo_account_with_dollars_on_port_8010() -> None:
    config = parse_arguments([])
    (demo,) = config.accounts
    assert (config.port, config.seed, config.history_s) == (8010, 7, 10_800)
    assert config.fee_bps == 10
    assert (demo.account_id, demo.balances) == ("demo", (("USDT", Decimal(100_000)),))
    assert (demo.keys[0].key, demo.keys[0].secret, demo.keys[0].kind) == ("demo", "demo-secret", KeyKind.HMAC)


def test_balances_go_into_both_wallets() -> None:
    floor = Floor(account(ALICE))
    assert floor.free(ALICE, "BTC") == 20
    wallets = {b.asset: b.wallet for b in floor.exchange.futures.balances(ALICE)}
    assert wallets["USDT"] == 1_000_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "0"], ["--port", "'0'", "1 to 65535"]),
        (["--port", "x"], ["--port", "'x'"]),
        (["--seed", "-1"], ["--seed"]),
        (["--fee-bps", "1001"], ["--fee-bps", "0 to 1000"]),
        (["--fee-bps", "NaN"], ["--fee-bps"]),
        (["--history", "3 hours"], ["--history", "60s to 86400s"]),
        (["--history", "59s"], ["--history"]),
        (["--balance", "USDT"], ["--balance", "ASSET=AMOUNT"]),
        (["--balance", "USDT=-1"], ["--balance"]),
        (["--balance", "USDT=0.123456789"], ["--balance"]),
        (["--balance", "usdt=1"], ["--balance"]),
        (["--symbols", "BTC-USDT"], ["--symbols", "BTC-USDT"]),
        (["--bars", "nowhere.parquet"], ["--bars", "nowhere.parquet"]),
        (["--host", "0.0.0.0"], ["--host", "127.0.0.1"]),
        (["--api-key", ""], ["--api-key"]),
        (["--accounts", "nowhere.yaml"], ["--accounts", "nowhere.yaml"]),
        (["--accounts", "a.yaml", "--balance", "USDT=1"], ["--balance", "--accounts"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed_and_exits_4(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 4
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    assert all(word in line for word in words)


def test_an_unknown_argument_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--sed", "7"])
    assert ended.value.code == 2


def test_a_symbol_the_market_does_not_have_is_named_with_those_it_has() -> None:
    config = parse_arguments(["--symbols", "BTCUSDT,FOOUSDT", "--history", "60s"])
    with pytest.raises(ConfigError, match=r"FOOUSDT.*BTCUSDT"):
        build_exchange(config, Floor().clock)


def test_only_the_chosen_symbols_are_listed() -> None:
    floor = Floor(account(ALICE), symbols=("ETHUSDT", "ETHBTC"))
    assert {s.symbol for s in floor.exchange.market_data.specs(Market.SPOT)} == {"ETHUSDT", "ETHBTC"}
    assert {s.symbol for s in floor.exchange.market_data.specs(Market.FUTURES)} == {"ETHUSDT"}
    assert floor.exchange.server_time_ms() == NOW_MS


def test_an_account_file_brings_keys_of_both_kinds_with_their_permissions(tmp_path: Path) -> None:
    pem = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "alice.pem").write_bytes(pem)
    entry = {
        "id": "alice",
        "balances": {"USDT": "5.5", "BTC": 1},
        "keys": [
            {"key": "h", "secret": "s"},
            {"key": "e", "public_key_file": "alice.pem", "permissions": ["READ"]},
        ],
    }
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps({"accounts": [entry]}))
    (alice,) = parse_arguments(["--accounts", str(path)]).accounts
    assert alice.balances == (("USDT", Decimal("5.5")), ("BTC", Decimal(1)))
    assert [k.kind for k in alice.keys] == [KeyKind.HMAC, KeyKind.ED25519]
    assert alice.keys[1].permissions == frozenset({Permission.READ})
    assert alice.keys[0].permissions == frozenset(Permission)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("accounts: []", "accounts"),
        ("accounts: [{id: a, keys: [{key: k}]}]", "exactly one of"),
        ("accounts: [{id: a, keys: [{key: k, secret: s, public_key: p}]}]", "exactly one of"),
        ("accounts: [{id: a, keys: [{key: k, public_key: nonsense}]}]", "Ed25519"),
        ("accounts: [{id: a, colour: red, keys: [{key: k, secret: s}]}]", "colour"),
        ("accounts: [{id: a, balances: {USDT: -1}, keys: [{key: k, secret: s}]}]", "balances.USDT"),
        ("accounts: [{id: a, keys: [{key: k, secret: s}, {key: k, secret: t}]}]", "only once"),
        ("accounts: [", "YAML"),
    ],
)
def test_a_wrong_account_file_is_named_with_its_place(tmp_path: Path, written: str, words: str) -> None:
    path = tmp_path / "accounts.yaml"
    path.write_text(written)
    with pytest.raises(ConfigError, match=words):
        parse_arguments(["--accounts", str(path)])


def test_the_rate_limits_can_be_lifted_for_a_load_test() -> None:
    ours, lifted = default_limits(), default_limits(parse_arguments(["--limit-factor", "1000"]).limit_factor)
    for market in Market:
        assert lifted[market].weight_per_minute == 1000 * ours[market].weight_per_minute
        assert [w.limit for w in lifted[market].orders] == [1000 * w.limit for w in ours[market].orders]
    with pytest.raises(ConfigError, match="limit-factor"):
        parse_arguments(["--limit-factor", "0"])

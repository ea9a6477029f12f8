"""Challengers in a running engine: judged on live bars, kept over a restart, recomputed from stored bars."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from strategies.league import Standing, replay
from strategies.regime_policy import PolicyOptions
from strategies.regimes.model import RegimeModel
from tests.integration.engine.models import SYMBOL, bundle, klines, trained
from tests.integration.engine.process import EngineProcess
from tests.integration.simulated_exchange import SimulatedExchange

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    arguments = ("--strategies", "on", "--interval", "1s", "--symbols", "BTCUSDT")
    running = EngineProcess(tmp_path_factory.mktemp("engine"), exchange.url, arguments).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def model(exchange: SimulatedExchange) -> RegimeModel:
    return trained(exchange)


def after_bars(engine: EngineProcess, version: str, bars: int) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        league: dict[str, Any] = engine.call("GET", "/league").json()
        if all(row["bars"] >= bars for row in league["standings"] if row["version"] == version):
            return league
        time.sleep(0.3)
    raise AssertionError(f"{version} was not judged on {bars} bars: {league}")


def test_champion_and_challengers_are_judged_on_the_same_bars(engine: EngineProcess, model: RegimeModel) -> None:
    champion, challenger = bundle(model, 1), bundle(model, 2)
    assert engine.call("PUT", "/strategies/hmm_regime", json={"model": champion}).status_code == 200
    answer = engine.call("POST", "/league", json={"model": challenger, "reason": "a second opinion"})
    assert answer.status_code == 200, answer.text
    league = after_bars(engine, challenger["version"], 5)
    assert league["champion"] == champion["version"]
    assert {row["version"] for row in league["rank"]} == {champion["version"], challenger["version"]}


def test_a_standing_is_recomputed_from_the_exchanges_own_bars(
    engine: EngineProcess, exchange: SimulatedExchange, model: RegimeModel
) -> None:
    challenger = bundle(model, 3)
    engine.call("POST", "/league", json={"model": challenger}).raise_for_status()
    league = after_bars(engine, challenger["version"], 8)
    options, bars = PolicyOptions(**league["policy"]), klines(exchange, 1000)
    for rows in (league["standings"], league["common"]):
        for live in (Standing(**row) for row in rows):
            seed = next(seed for seed in (1, 2, 3) if bundle(model, seed)["version"] == live.version)
            again = replay(SYMBOL, replace(model, seed=seed), options, league["cost_bps"], live, bars)
            assert again == live
    # All stand on the bars since the last of them came; the first has more of its own.
    assert len({(row["first_open_ms"], row["bars"]) for row in league["common"]}) == 1
    assert len({row["judged_from_ms"] for row in league["common"]}) > 1


def test_a_challenger_is_back_after_a_restart_and_gone_once_withdrawn(
    engine: EngineProcess, model: RegimeModel
) -> None:
    version = bundle(model, 4)["version"]
    engine.call("POST", "/league", json={"model": bundle(model, 4)}).raise_for_status()
    assert engine.stop() == 0
    engine.start()
    after_bars(engine, version, 1)
    left = engine.call("DELETE", f"/league/{version}", json={"reason": "no better"}).raise_for_status().json()
    assert version not in {row["version"] for row in left["rank"]}
    again = engine.call("DELETE", f"/league/{version}")
    assert (again.status_code, again.json()["code"]) == (404, "MODEL_UNKNOWN")


def test_a_challenger_never_orders_and_the_league_has_an_end(engine: EngineProcess, model: RegimeModel) -> None:
    answers = [engine.call("POST", "/league", json={"model": bundle(model, 10 + seed)}) for seed in range(9)]
    assert answers[-1].json()["code"] == "LEAGUE_FULL"
    orders = engine.call("GET", "/orders").json()["orders"]
    assert not [order for order in orders if order["strategy"].startswith("shadow")]


def test_bad_models_and_thin_tokens_are_refused(engine: EngineProcess, model: RegimeModel) -> None:
    broken = bundle(model, 5) | {"feature_schema": "other"}
    for body, code in (({}, "FIELD_MISSING"), ({"model": "x"}, "FIELD_TYPE"), ({"model": broken}, "MODEL_SCHEMA")):
        answer = engine.call("POST", "/league", json=body)
        assert (answer.status_code, code in answer.text) == (422, True), answer.text
    assert engine.call("POST", "/league", json={}, token="trade").status_code == 403


def test_a_model_of_other_bars_than_the_engine_closes_is_refused_with_both_lengths(
    engine: EngineProcess, model: RegimeModel
) -> None:
    before = engine.call("GET", "/strategies/hmm_regime").json()["model_version"]
    other = bundle(model, 6) | {"interval": "1m"}
    asked = (
        ("PUT", "/strategies/hmm_regime", {"model": other}),
        ("POST", "/strategy/promote", {"model": other}),
        ("POST", "/league", {"model": other}),
    )
    for method, path, body in asked:
        answer = engine.call(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "MODEL_SCHEMA"), answer.text
        assert "reads 1m bars" in answer.json()["detail"]
        assert "closes 1s bars" in answer.json()["detail"]
        assert "--interval 1m" in answer.json()["detail"]
    assert engine.call("GET", "/strategies/hmm_regime").json()["model_version"] == before

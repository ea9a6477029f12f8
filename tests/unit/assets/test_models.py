"""From feature rows to a registered version, its out-of-sample figures, its pictures and its hand-over."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets import plots
from assets.delivery import DeliveryUnconfirmed, deliver
from assets.feature_table import Series, build, newest_series
from assets.fitting import FitOutcome, FitTask, WalkOutcome, WalkTask, fit_symbol, walk_symbol
from assets.kinds import bars_behind, judge_kinds, kind_rows
from assets.plots import MAX_BYTES, bars_picture, equity_picture, regime_picture
from assets.scoring import ALL, evaluation_rows, fit_metrics, portfolio_curve, scores_of, symbol_curve
from assets.tables import EVALUATIONS, FEATURE_ROWS
from assets.training import NothingTrained, Origin, assemble, calibration_rows, previous_models, refusals
from governance.registry import ModelRegistry
from orchestration.environment import load
from strategies.regime_policy import PolicyOptions
from strategies.regimes.calibration import Calibration
from strategies.regimes.fit import FitOptions
from strategies.research.after_training import DriftSince
from strategies.research.walk_forward import WalkForwardOptions
from tests.unit.assets.bars import DAY, STEP, SYMBOL, bars, stored
from warehouse.store import Warehouse

OTHER = "ETHUSDT.BINANCE"
OPTIONS = FitOptions(candidates=(2,), starts=2)
WALK = WalkForwardOptions(folds=2, purge=40, bars_per_year=525_600)
ORIGIN = Origin(
    created_at="2026-03-02T00:00:00+00:00",
    interval="1m",
    data_hash="d" * 64,
    code_commit="c" * 40,
    seed=7,
    run_id="run",
    parent="",
)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Series]:
    store = stored(Warehouse(tmp_path_factory.mktemp("w")), bars(1440), bars(1440, symbol=OTHER, seed=5))
    rows, _ = build(store, [DAY], market="spot", interval="1m", step_ms=STEP)
    store.writer(FEATURE_ROWS).upsert(rows)
    found, _ = newest_series(store, [SYMBOL, OTHER], market="spot", interval="1m", step_ms=STEP, bars=5000)
    return found


def fit_task(one: Series, **changes: Any) -> FitTask:
    return replace(FitTask(series=one, bar_ms=STEP, min_bars=500, options=OPTIONS, previous=None), **changes)


@pytest.fixture(scope="module")
def fits(series: list[Series]) -> list[FitOutcome]:
    return [fit_symbol(fit_task(one)) for one in series]


@pytest.fixture(scope="module")
def walks(series: list[Series]) -> list[WalkOutcome]:
    return [
        walk_symbol(WalkTask(series=one, bar_ms=STEP, fit_options=OPTIONS, policy=PolicyOptions(), walk=WALK))
        for one in series
    ]


def test_fits_become_one_version_that_the_registry_takes(fits: list[FitOutcome], tmp_path: Path) -> None:
    bundle, card = assemble(fits, {}, ORIGIN)
    registry = ModelRegistry(tmp_path)
    assert registry.register(bundle, card)
    assert registry.bundle(card.version)["symbols"].keys() == {SYMBOL, OTHER}
    assert card.bars == sum(fit.model["bars"] for fit in fits if fit.model)
    assert card.fits[SYMBOL]["regimes"] == 2
    assert card.fits[SYMBOL]["refit_agreement"] >= OPTIONS.min_refit_agreement
    assert card.fits[SYMBOL]["gaps"] == 0


def test_every_model_says_what_its_confidence_is_worth_and_the_version_stands_for_it(
    series: list[Series], tmp_path: Path
) -> None:
    fits = [fit_symbol(fit_task(one)) for one in series]
    rows = calibration_rows(fits)
    assert {row["symbol"] for row in rows} == {SYMBOL, OTHER}
    for outcome in fits:
        assert outcome.model is not None
        found = Calibration.from_dict(outcome.model["calibration"])
        own = [row for row in rows if row["symbol"] == outcome.symbol]
        assert [row["was_right"] for row in own if row["was_right"] is not None] == list(found.values)
        assert own[0]["answer"] == (found.fallback or "calibrated")
    bundle, card = assemble(fits, {}, ORIGIN)
    assert "calibration_outcomes" in card.fits[SYMBOL]
    bundle["symbols"][SYMBOL]["calibration"]["outcomes"] += 1.0
    with pytest.raises(ValueError, match="arrays are"):
        ModelRegistry(tmp_path).register(bundle, card)


def test_the_same_data_and_seed_give_the_same_version(series: list[Series], fits: list[FitOutcome]) -> None:
    again = [fit_symbol(fit_task(one)) for one in series]
    assert assemble(again, {}, ORIGIN)[1].version == assemble(fits, {}, ORIGIN)[1].version


def test_a_symbol_that_cannot_be_fitted_is_left_out_with_its_reason(
    series: list[Series], fits: list[FitOutcome]
) -> None:
    thin = fit_symbol(fit_task(series[0], min_bars=10_000))
    dead = fit_symbol(fit_task(replace(series[1], rows=np.zeros_like(series[1].rows))))
    dropped = refusals([SYMBOL, OTHER, "XUSDT.BINANCE"], [thin, dead], "1m")
    assert "1m bars" in dropped["XUSDT.BINANCE"] and "NHMM_BAR_INTERVAL" in dropped["XUSDT.BINANCE"]
    assert {symbol: reason.split(":")[0] for symbol, reason in dropped.items()} == {
        "XUSDT.BINANCE": "NO_FEATURES",
        SYMBOL: "TOO_FEW_BARS",
        OTHER: "CONSTANT_FEATURE",
    }
    with pytest.raises(NothingTrained, match="XUSDT"):
        assemble([thin, dead], dropped, ORIGIN)
    _, card = assemble([fits[0]], dropped, ORIGIN)
    assert set(card.dropped) == set(dropped)


def test_a_new_fit_keeps_the_champions_order_of_regimes(
    series: list[Series], fits: list[FitOutcome], tmp_path: Path
) -> None:
    bundle, card = assemble(fits, {}, ORIGIN)
    registry = ModelRegistry(tmp_path)
    registry.register(bundle, card)
    before = previous_models(registry, card.version, "1m")
    assert previous_models(registry, None, "1m") == previous_models(registry, card.version, "5m") == {}
    swapped = {**before[SYMBOL], **{name: before[SYMBOL][name][::-1] for name in ("means", "covars")}}
    refit = fit_symbol(fit_task(series[0], previous=swapped))
    assert refit.model is not None
    np.testing.assert_allclose(refit.model["means"], before[SYMBOL]["means"][::-1], atol=1e-6)


def test_regimes_of_a_market_that_has_some_beat_one_gaussian(walks: list[WalkOutcome]) -> None:
    assert all(walk.likelihood_gain > 0.1 for walk in walks)


def test_a_walk_that_cannot_be_made_is_an_answer(series: list[Series]) -> None:
    short = replace(series[0], rows=series[0].rows[:90], open_ms=series[0].open_ms[:90])
    task = WalkTask(series=short, bar_ms=STEP, fit_options=OPTIONS, policy=PolicyOptions(), walk=WALK)
    assert "too few bars" in walk_symbol(task).refused


def evaluated(series: list[Series], fits: list[FitOutcome], walks: list[WalkOutcome]) -> pl.DataFrame:
    return evaluation_rows(
        "rm-1",
        fit_metrics(fits),
        walks,
        {one.symbol: one for one in series},
        bar_ms=STEP,
        bars_per_year=525_600,
        evaluated_at=datetime(2026, 3, 2, tzinfo=UTC),
    )


def test_the_row_over_all_symbols_adds_counts_and_takes_the_weakest_floor(
    series: list[Series], fits: list[FitOutcome], walks: list[WalkOutcome], tmp_path: Path
) -> None:
    rows = evaluated(series, fits, walks)
    Warehouse(tmp_path).writer(EVALUATIONS).upsert(rows)
    single = rows.filter(pl.col("symbol") != ALL)
    total = rows.filter(pl.col("symbol") == ALL).row(0, named=True)
    assert total["symbols"] == 2
    assert total["bars"] == single["bars"].sum()
    assert total["folds"] == 4
    assert total["trades"] == single["trades"].sum() > 0
    assert total["min_dwell_bars"] == single["min_dwell_bars"].min()
    scores = scores_of(total)
    assert scores.sharpe_low == pytest.approx(total["sharpe"] - 1.96 * total["sharpe_se"])


def test_the_portfolio_holds_equal_parts_and_a_symbol_without_a_bar_holds_nothing(
    series: list[Series], walks: list[WalkOutcome]
) -> None:
    assert walks[0].report is not None
    curve = symbol_curve(series[0], walks[0].report)
    half = replace(
        curve,
        **{name: getattr(curve, name)[10:] for name in ("open_ms", "returns", "hold_returns", "positions")},
    )
    both = portfolio_curve([curve, half])
    np.testing.assert_allclose(both.returns[:10], curve.returns[:10] / 2)
    np.testing.assert_allclose(both.returns[10:], curve.returns[10:])


def test_nothing_judged_is_no_row(series: list[Series], fits: list[FitOutcome]) -> None:
    assert evaluated(series, fits, [WalkOutcome(symbol=SYMBOL, refused="x")]).is_empty()


def test_pictures_are_small_pngs_inside_markdown(series: list[Series], walks: list[WalkOutcome]) -> None:
    report = walks[0].report
    assert report is not None
    curve = symbol_curve(series[0], report)
    price = np.linspace(100, 101, len(curve.open_ms))
    price[5] = np.nan
    pictures = [
        regime_picture(SYMBOL, curve.open_ms, price, report.posteriors),
        equity_picture("all", curve),
        bars_picture(["2026-03-01"], [1440], [1440]),
    ]
    for picture in pictures:
        head, _, data = picture.partition("base64,")
        assert head.startswith("![")
        assert len(picture) < MAX_BYTES + 200
        assert base64.b64decode(data.removesuffix(")")).startswith(b"\x89PNG")


def test_regimes_that_change_all_the_time_still_make_a_picture_that_can_be_read() -> None:
    chance = np.random.default_rng(1)
    price = np.exp(np.cumsum(chance.normal(0, 2e-3, 4_000)))
    picture = regime_picture(SYMBOL, np.arange(4_000) * STEP, price, chance.dirichlet([0.3, 0.3, 0.3], 4_000))
    assert len(picture) < MAX_BYTES + 200
    content = base64.b64decode(picture.partition("base64,")[2].removesuffix(")"))
    assert int.from_bytes(content[16:20], "big") >= 680, "letters of seven points take so many dots"


def test_axes_say_what_they_show_and_a_short_alarm_is_seen(
    series: list[Series], walks: list[WalkOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "_markdown", lambda _, axes, *__: drawn.append(list(axes)))
    report = walks[0].report
    assert report is not None
    curve = symbol_curve(series[0], report)
    names = ("calm", "wild")
    plots.regime_picture(SYMBOL, curve.open_ms, np.ones(len(curve.open_ms)), report.posteriors, names=names)
    plots.equity_picture("all", curve)
    sums = np.zeros(5_000)
    sums[3_333] = 30.0
    opens = curve.open_ms[0] + np.arange(5_000) * STEP
    since = DriftSince(open_ms=opens, sums=sums, threshold=20.0, since_ms=None, calibration_error=0.0)
    plots.drift_picture({SYMBOL: since})
    plots.parity_picture({"fee": 1.0})
    plots.league_picture([])
    assert all(axes[-1].get_xlabel() for axes in drawn)
    assert all(each.get_ylabel() for axes in drawn[:3] for each in axes)
    assert [text.get_text() for text in drawn[0][0].get_legend().get_texts()] == list(names)
    assert drawn[2][0].lines[0].get_ydata().max() == 1.5
    assert "2026" in drawn[1][0].xaxis.get_major_formatter().format_ticks(drawn[1][0].get_xticks())[0] + str(
        drawn[1][0].xaxis.get_major_formatter().get_offset()
    )


def test_pictures_of_many_symbols_are_smaller(series: list[Series], walks: list[WalkOutcome]) -> None:
    report = walks[0].report
    assert report is not None
    curve = symbol_curve(series[0], report)
    price = np.linspace(100, 101, len(curve.open_ms))
    small = regime_picture(SYMBOL, curve.open_ms, price, report.posteriors, 15_000)
    assert len(small) < 16_000
    assert len(equity_picture(SYMBOL, curve, 8_000)) < 9_000


def test_both_kinds_of_model_are_judged_on_the_same_bars(series: list[Series]) -> None:
    task = WalkTask(series=series[0], bar_ms=STEP, fit_options=OPTIONS, policy=PolicyOptions(), walk=WALK)
    outcome = judge_kinds(task)
    rows = {row["strategy"]: row for row in kind_rows([outcome], 525_600)}
    assert {"buy_and_hold", "vol_target", "ma_cross", "gaussian_hmm", "jump"} == set(rows)
    assert rows["gaussian_hmm"]["gain_nats"] > 2 * rows["gaussian_hmm"]["gain_se"]
    assert rows["jump"]["dwell_bars"] > 1
    assert rows["buy_and_hold"]["gain_nats"] is None
    short = replace(series[0], rows=series[0].rows[:70], open_ms=series[0].open_ms[:70])
    assert "too few bars" in judge_kinds(replace(task, series=short)).refused


def test_the_two_level_model_is_judged_beside_them_on_the_bars_behind_the_rows(tmp_path: Path) -> None:
    store, research = stored(Warehouse(tmp_path), bars(4 * 1440)), load({}).research
    days = [f"2026-03-0{day}" for day in range(1, 5)]
    rows, _ = build(store, days, market="spot", interval="1m", step_ms=STEP)
    store.writer(FEATURE_ROWS).upsert(rows)
    (one,), _ = newest_series(store, [SYMBOL], market="spot", interval="1m", step_ms=STEP, bars=9000)
    behind = bars_behind(store, research, one)
    assert behind is not None
    np.testing.assert_allclose(behind.features()[-len(one.rows) :], one.rows, atol=1e-12)
    policy = PolicyOptions(round_trip_cost_bps=1.0, min_t_statistic=0.0)
    task = WalkTask(series=one, bar_ms=STEP, fit_options=OPTIONS, policy=policy, walk=WALK, bars=behind)
    outcome = judge_kinds(task)
    judged = {row["strategy"]: row for row in kind_rows([outcome], 525_600)}
    assert "h2" in judged, outcome.refused
    assert judged["h2"]["gain_nats"] is None
    short = replace(one, rows=one.rows[:1400], open_ms=one.open_ms[:1400])
    assert "h2: TOO_FEW_BARS" in judge_kinds(replace(task, series=short)).refused
    assert bars_behind(store, research, replace(one, open_ms=one.open_ms - 10**9)) is None


class OneStrategyEngine:
    """An engine that holds one model, or pretends to take it."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.version = ""
        self.deaf = deaf
        self.sent = 0

    def get_strategy(self, strategy: str) -> dict[str, Any]:
        assert strategy == "hmm_regime"
        return {"model_version": self.version}

    def put_strategy(self, strategy: str, **changes: Any) -> dict[str, Any]:
        assert strategy == "hmm_regime"
        self.sent += 1
        if not self.deaf:
            self.version = changes["model"]["version"]
        return {}

    def get_portfolio(self) -> dict[str, Any]:
        raise AssertionError("delivery asks for strategies only")

    def get_strategies(self) -> list[dict[str, Any]]:
        raise AssertionError("delivery asks for strategies only")

    def get_fills(self, after: int = 0) -> Iterator[dict[str, Any]]:
        raise AssertionError("delivery asks for strategies only")

    def reconcile(self) -> dict[str, Any]:
        raise AssertionError("delivery asks for strategies only")


def registered(fits: list[FitOutcome], folder: Path) -> tuple[ModelRegistry, str]:
    bundle, card = assemble(fits, {}, ORIGIN)
    registry = ModelRegistry(folder)
    registry.register(bundle, card)
    return registry, card.version


def test_a_version_is_sent_once_and_again_to_an_engine_that_lost_it(fits: list[FitOutcome], tmp_path: Path) -> None:
    registry, version = registered(fits, tmp_path)
    engine = OneStrategyEngine()
    assert deliver(engine, registry, version, "test")
    assert not deliver(engine, registry, version, "test")
    engine.version = ""
    assert deliver(engine, registry, version, "test")
    assert engine.sent == 2


def test_an_engine_that_trades_another_version_than_it_was_given_is_an_error(
    fits: list[FitOutcome], tmp_path: Path
) -> None:
    registry, version = registered(fits, tmp_path)
    with pytest.raises(DeliveryUnconfirmed):
        deliver(OneStrategyEngine(deaf=True), registry, version, "test")


def test_metrics_of_fits_that_failed_are_left_out(fits: list[FitOutcome]) -> None:
    metrics: Mapping[str, Mapping[str, float]] = fit_metrics([*fits, FitOutcome(symbol="X", refused="no")])
    assert set(metrics) == {SYMBOL, OTHER}

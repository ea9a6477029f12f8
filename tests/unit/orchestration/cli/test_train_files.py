"""``nhmm train --bars`` and ``nhmm regimes``: from a file of bars to a sealed model and back to regimes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from governance.model_card import content_version
from governance.model_folder import ModelUntrusted, read_model_folder, write_model
from orchestration.cli.app import app
from orchestration.cli.bar_files import parse_time, read_bars
from orchestration.cli.layout import Exit, Refused
from strategies.regimes.agreement import adjusted_rand
from strategies.regimes.bar_table import PRICES
from strategies.regimes.model import RegimeModel
from strategies.times import told
from tests.unit.strategies.series import BAR_MS, regime_series

BARS = 1_600
SYMBOL = "BTCUSDT"


def frame(symbol: str = SYMBOL, seed: int = 61, bars: int = BARS) -> pl.DataFrame:
    series = regime_series(bars, seed)
    return pl.DataFrame(
        {"symbol": [symbol] * bars, "ts": series.open_at_ms}
        | {name: getattr(series, name) for name in (*PRICES, "volume")}
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    pl.concat([frame(), frame("DEADUSDT", 62).with_columns(pl.lit(1.0).alias(name) for name in PRICES)]).write_parquet(
        path
    )
    return path


def train(file: Path, out: Path, *arguments: str) -> Any:
    return CliRunner().invoke(
        app, ["train", "--bars", str(file), "--out", str(out), "--states", "3", "--json", *arguments]
    )


def last_line(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout.strip().splitlines()[-1]))


@pytest.fixture(scope="module")
def model(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "first"
    last_line(train(file, out, "--symbol", SYMBOL))
    return out


def write_regimes(model: Path, file: Path, out: Path) -> pl.DataFrame:
    result = CliRunner().invoke(
        app, ["regimes", "--model", str(model), "--bars", str(file), "--out", str(out), "--json"]
    )
    assert last_line(result)["states"] >= 2
    return pl.read_parquet(out)


def test_a_trained_folder_holds_arrays_and_a_card_and_no_other_format(model: Path) -> None:
    bundle, card = read_model_folder(model)
    assert sorted(path.name for path in model.iterdir()) == ["card.json", "model.json", "seal.json"]
    assert card.symbols == (SYMBOL,)
    assert card.fits[SYMBOL]["converged"] == 1.0
    assert card.bars_dropped[SYMBOL]["warm_up"] > 0
    assert card.interval == "1m"
    assert set(bundle["symbols"]) == {SYMBOL}


def test_regimes_of_the_file_are_one_row_a_bar_and_the_true_ones(model: Path, file: Path, tmp_path: Path) -> None:
    rows = write_regimes(model, file, tmp_path / "regimes.parquet")
    assert rows.columns == ["ts", "posterior_0", "posterior_1", "posterior_2", "regime"]
    assert rows.height == BARS
    known = rows.drop_nulls()
    sums = known.select(pl.sum_horizontal("posterior_0", "posterior_1", "posterior_2")).to_series()
    np.testing.assert_allclose(sums.to_numpy(), 1.0, atol=1e-12)
    truth = regime_series(BARS, 61).regimes[BARS - known.height :]
    assert adjusted_rand(known.get_column("regime").to_numpy().astype(np.int64), truth) > 0.6


def test_no_regime_changes_when_later_bars_are_not_there_yet(model: Path, file: Path, tmp_path: Path) -> None:
    whole = write_regimes(model, file, tmp_path / "whole.parquet")
    frame().head(900).write_parquet(tmp_path / "cut.parquet")
    part = write_regimes(model, tmp_path / "cut.parquet", tmp_path / "part.parquet")
    assert part.equals(whole.head(900))


@pytest.mark.parametrize(("kind", "bars", "states"), [("jump", BARS, "3"), ("h2", 4_000, "2")])
def test_the_other_kinds_train_and_infer_through_the_same_commands(
    kind: str, bars: int, states: str, tmp_path: Path
) -> None:
    frame(bars=bars).write_parquet(tmp_path / "bars.parquet")
    result = train(tmp_path / "bars.parquet", tmp_path / "model", "--kind", kind, "--states", states)
    assert last_line(result)["kind"] == kind
    rows = write_regimes(tmp_path / "model", tmp_path / "bars.parquet", tmp_path / "regimes.parquet")
    assert rows.get_column("regime").drop_nulls().n_unique() >= 2


def test_the_covariances_and_the_starts_are_those_asked_for(file: Path, tmp_path: Path) -> None:
    words = ("--symbol", SYMBOL, "--covariance", "full", "--starts", "3")
    told = last_line(train(file, tmp_path / "full", *words))
    bundle, card = read_model_folder(tmp_path / "full")
    assert np.array(bundle["symbols"][SYMBOL]["covars"]).shape == (3, 2, 2)
    assert card.fits[SYMBOL]["starts"] == told["symbols"][SYMBOL]["starts"] == 3.0


def test_a_new_version_keeps_the_order_of_regimes_of_the_one_before(file: Path, model: Path, tmp_path: Path) -> None:
    bundle, card = read_model_folder(model)
    turned = RegimeModel.from_dict(bundle["symbols"][SYMBOL])
    turned = replace(turned, means=turned.means[::-1], covars=turned.covars[::-1])
    symbols = {f"{SYMBOL}.BINANCE": turned.to_dict()}
    version = content_version(symbols)
    (tmp_path / "turned").mkdir()
    write_model(
        tmp_path / "turned",
        {**bundle, "version": version, "symbols": symbols},
        replace(card, version=version, symbols=tuple(symbols)),
    )
    told = last_line(train(file, tmp_path / "new", "--symbol", SYMBOL, "--previous", str(tmp_path / "turned")))
    assert (told["previous"], told["symbols"][SYMBOL]["keeps_order"]) == (version, True)
    found, new = read_model_folder(tmp_path / "new")
    assert new.parent == version
    np.testing.assert_allclose(found["symbols"][SYMBOL]["means"], turned.means, atol=1e-9)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--kind", "jump"), "it is a gaussian_hmm model"),
        (("--symbol", "DEADUSDT"), "SYMBOL_UNKNOWN: it holds BTCUSDT"),
    ],
)
def test_a_version_that_cannot_be_continued_is_refused(
    words: tuple[str, ...], told: str, file: Path, model: Path, tmp_path: Path
) -> None:
    result = train(file, tmp_path / "out", "--previous", str(model), *words)
    assert isinstance(result.exception, Refused)
    assert told in str(result.exception)
    first = pl.col("ts").min()
    hourly = frame().with_columns(first + (pl.col("ts") - first) * 60)
    hourly.write_parquet(tmp_path / "hourly.parquet")
    result = train(tmp_path / "hourly.parquet", tmp_path / "out", "--previous", str(model))
    assert "BARS_INTERVAL: the model reads 1m bars" in str(result.exception)
    result = train(file, tmp_path / "out", "--previous", str(tmp_path))
    assert "MODEL_UNTRUSTED" in str(result.exception)


def test_a_dead_symbol_is_named_in_the_card_and_the_others_are_trained(file: Path, tmp_path: Path) -> None:
    result = last_line(train(file, tmp_path / "both"))
    assert set(result["symbols"]) == {SYMBOL}
    assert read_model_folder(tmp_path / "both")[1].dropped.keys() == {"DEADUSDT"}


def test_the_span_is_half_open_and_the_same_seed_gives_the_same_version(file: Path, tmp_path: Path) -> None:
    first_ms = 10_000 * BAR_MS
    moved = frame().with_columns(pl.col("ts") - pl.col("ts").min() + first_ms)
    moved.write_parquet(tmp_path / "moved.parquet")
    span = ["--symbol", SYMBOL.lower(), "--from", str(first_ms), "--to", str(first_ms + 1_500 * BAR_MS)]
    first, second = (last_line(train(tmp_path / "moved.parquet", tmp_path / name, *span)) for name in ("a", "b"))
    assert first["version"] == second["version"]
    assert read_model_folder(tmp_path / "a")[1].training_to_ms == first_ms + 1_500 * BAR_MS


def _refused(function: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refusal:
        function()
    return refusal.value


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.write_bytes(b"no parquet"), "BARS_UNREADABLE"),
        (lambda path: frame(bars=50).drop("volume").write_parquet(path), "BARS_SCHEMA"),
        (lambda path: frame(bars=50).with_columns(pl.col("ts").cast(pl.String)).write_parquet(path), "BARS_SCHEMA"),
        (lambda path: frame("XUSDT", bars=50).write_parquet(path), "SYMBOL_UNKNOWN"),
        (lambda path: frame(bars=50).with_columns(ts=pl.lit(10**15)).write_parquet(path), "NO_BARS"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(
    spoil: Callable[[Path], None], code: str, tmp_path: Path
) -> None:
    path = tmp_path / "bars.parquet"
    spoil(path)
    refusal = _refused(lambda: read_bars(path, (SYMBOL,), 0, 10**14))
    assert code in str(refusal)
    assert refusal.exit_code == Exit.USAGE


@pytest.mark.parametrize(("bars", "code"), [(90, "TOO_FEW_BARS"), (1, "NO_BARS")])
def test_too_few_bars_are_refused_by_name_and_nothing_is_written(bars: int, code: str, tmp_path: Path) -> None:
    frame(bars=bars).write_parquet(tmp_path / "thin.parquet")
    result = train(tmp_path / "thin.parquet", tmp_path / "out")
    assert isinstance(result.exception, Refused)
    assert code in str(result.exception)
    assert code in result.stdout
    assert not (tmp_path / "out").exists()


def test_a_symbol_that_lists_late_or_dies_is_named_and_so_is_what_left_too_few(tmp_path: Path) -> None:
    whole, first = frame(), pl.col("ts").min()
    late = whole.filter(pl.col("ts") >= first + 300 * BAR_MS).with_columns(symbol=pl.lit("LATEUSDT"))
    dead = whole.filter(pl.col("ts") < first + (BARS - 200) * BAR_MS).with_columns(symbol=pl.lit("DEADUSDT"))
    third = pl.int_range(pl.len()) % 3 == 0
    holes = whole.with_columns(
        pl.lit("HOLEUSDT").alias("symbol"), pl.when(third).then(float("nan")).otherwise("close").alias("close")
    )
    pl.concat([whole, late, dead, holes]).write_parquet(tmp_path / "bars.parquet")
    result = train(tmp_path / "bars.parquet", tmp_path / "out")
    assert result.exit_code == 0, result.output
    card = read_model_folder(tmp_path / "out")[1]
    assert set(card.bars_dropped[SYMBOL]) == {"warm_up"}
    assert card.bars_dropped["LATEUSDT"]["listed_late"] == 300
    assert card.bars_dropped["DEADUSDT"]["ended_early"] == 200
    assert f"{(BARS + 2) // 3} not_finite" in card.dropped["HOLEUSDT"]
    assert "longer span" in card.dropped["HOLEUSDT"]


def test_a_model_is_never_written_over_another(model: Path, file: Path) -> None:
    before = (model / "model.json").read_bytes()
    result = train(file, model, "--symbol", SYMBOL)
    assert isinstance(result.exception, Refused)
    assert (model / "model.json").read_bytes() == before


def test_a_changed_model_is_refused(model: Path, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "model.json").write_text((copy / "model.json").read_text().replace("0.", "1.", 1))
    with pytest.raises(ModelUntrusted):
        read_model_folder(copy)
    result = CliRunner().invoke(
        app, ["regimes", "--model", str(copy), "--bars", str(file), "--out", str(tmp_path / "x.parquet")]
    )
    assert isinstance(result.exception, Refused)


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1672531200000", 1_672_531_200_000),
        (None, None),
    ],
)
def test_times_are_iso_or_milliseconds(text: str | None, at_ms: int | None) -> None:
    assert parse_time(text, "--from") == at_ms


@pytest.mark.parametrize(
    "arguments",
    [
        ["--from", "yesterday"],
        ["--kind", "lstm"],
        ["--states", "0"],
        ["--states", "²"],
        ["--covariance", "tied"],
        ["--kind", "jump", "--covariance", "full"],
        ["--kind", "jump", "--starts", "3"],
    ],
)
def test_what_is_no_option_is_refused_before_the_file_is_read(arguments: list[str], file: Path, tmp_path: Path) -> None:
    result = train(file, tmp_path / "out", *arguments)
    assert isinstance(result.exception, Refused)
    assert result.exception.exit_code == Exit.USAGE


def test_options_of_a_file_without_a_file_are_refused() -> None:
    for words in (["--symbol", SYMBOL], ["--covariance", "full"], ["--starts", "3"], ["--previous", "."]):
        assert CliRunner().invoke(app, ["train", *words]).exit_code == Exit.USAGE


@pytest.mark.parametrize("command", ["regimes", "lookahead"])
def test_bars_that_a_model_cannot_read_are_refused_and_are_no_leak(
    command: str, model: Path, file: Path, tmp_path: Path
) -> None:
    """Exit code 1 says that a value knew its future; what could not be asked says something else."""
    first = pl.col("ts").min()
    slow = frame().with_columns(first + (pl.col("ts") - first) * 60)
    out = ["--out", str(tmp_path / "regimes.parquet")] if command == "regimes" else []
    for spoilt, reason, code in (
        (slow, "BARS_INTERVAL", Exit.USAGE),
        (frame().with_columns(close=float("nan")), f"NO_BARS: 0 usable bars are left ({BARS} not_finite)", 4),
        (frame(bars=1), "NO_BARS", Exit.CONFIGURATION),
        *(((frame(bars=40), "TOO_FEW_BARS", Exit.CONFIGURATION),) if command == "lookahead" else ()),
    ):
        spoilt.write_parquet(tmp_path / "bars.parquet")
        words = [command, "--model", str(model), "--bars", str(tmp_path / "bars.parquet"), *out]
        refusal = CliRunner().invoke(app, words).exception
        assert isinstance(refusal, Refused)
        assert (refusal.exit_code, reason in str(refusal)) == (code, True), refusal


def test_bars_of_the_training_in_other_digits_are_told_from_a_leak(model: Path, file: Path, tmp_path: Path) -> None:
    rounded = tmp_path / "rounded.parquet"
    frame().with_columns(pl.col(name).cast(pl.Float32) for name in (*PRICES, "volume")).write_parquet(rounded)
    for command, of_it in (("lookahead", {"bars_differ": [SYMBOL], "leaks": []}), ("evaluate", {"registered": None})):
        words = [command, "--model", str(model), "--json", "--bars"]
        assert CliRunner().invoke(app, [*words, str(file)]).exit_code == Exit.OK
        result = CliRunner().invoke(app, [*words, str(rounded)])
        told = json.loads(result.stdout.strip().splitlines()[-1])
        assert {name: told[name] for name in of_it} == of_it
        refused = result.exception.exit_code if isinstance(result.exception, Refused) else result.exit_code
        assert refused == Exit.CONFIGURATION, result.output
        assert "BARS_DIFFER" in f"{result.output}{result.exception}"


def test_what_cannot_be_written_is_refused_by_its_option(model: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["regimes", "--model", str(model), "--bars", str(file), "--out", str(tmp_path / "file" / "x.parquet")]
    for result in (CliRunner().invoke(app, words), train(file, tmp_path / "file" / "model", "--symbol", SYMBOL)):
        assert isinstance(result.exception, Refused)
        assert "--out" in str(result.exception)


def test_a_backtest_says_on_how_many_bars_of_its_training_it_trades(model: Path, tmp_path: Path) -> None:
    longer, end = frame(bars=BARS + 300), int(frame().get_column("ts").max()) + BAR_MS  # type: ignore[arg-type]
    longer.write_parquet(tmp_path / "bars.parquet")
    words = ["backtest", "--bars", str(tmp_path / "bars.parquet"), "--model", str(model), "--quantity", "0.01"]

    def notes(*more: str) -> str:
        result = CliRunner().invoke(app, [*words, *more])
        assert result.exit_code == 0, result.output
        return result.stdout

    whole = notes("--strategy", "hmm_regime")
    learned = BARS - read_model_folder(model)[1].bars_dropped[SYMBOL]["warm_up"]
    assert f"IN_SAMPLE: the model of {SYMBOL} learned from {learned} of these {BARS + 300} bars" in whole
    assert f"unseen ones begin at {told(end)} (--from)" in whole
    assert "IN_SAMPLE" not in notes("--strategy", "hmm_regime", "--from", told(end))
    assert "IN_SAMPLE" not in notes("--strategy", "ma_cross")
    first = pl.col("ts").min()
    longer.with_columns(first + (pl.col("ts") - first) * 60).write_parquet(tmp_path / "bars.parquet")
    refusal = CliRunner().invoke(app, [*words, "--strategy", "hmm_regime"]).exception
    assert "BARS_INTERVAL: the model reads 1m bars, these are 1h" in str(refusal)

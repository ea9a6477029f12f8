"""An evaluated folder becomes a candidate: its arrays in the registry, its figures in the warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from assets.feature_table import Series
from assets.scoring import evaluation_rows
from assets.settings import YEAR_MS
from assets.tables import EVALUATIONS
from governance.model_card import ModelCard, content_version
from governance.registry import ModelRegistry
from orchestration.cli.backtest_run import engine_symbol
from orchestration.cli.evaluate_files import Evaluated
from orchestration.cli.layout import Home, Refused
from strategies.regimes.hierarchy import H2
from warehouse.store import Warehouse


def register(home: Home, bundle: Mapping[str, Any], card: ModelCard, found: Sequence[Evaluated]) -> str:
    """Register the judged symbols under the engine's names, store their figures; return the candidate's version.

    The engine knows ``BTCUSDT.BINANCE`` where a file says ``BTCUSDT``: other names, another content hash.

    A two-level model is registered to infer: it is not walked forward, and no gate judges it.

    Raises:
        Refused: no symbol could be walked forward, so that no gate could judge it.
    """
    two_levels = card.kind == H2
    judged = [one for one in found if two_levels or one.walk.report is not None]
    if not judged:
        raise Refused("NOT_EVALUATED: no symbol could be walked forward; nothing was registered")
    names = {one.symbol: engine_symbol(one.symbol) for one in judged}
    symbols = {names[one.symbol]: bundle["symbols"][one.symbol] for one in judged}
    version = content_version(symbols)
    candidate = replace(
        card,
        version=version,
        symbols=tuple(sorted(symbols)),
        fits={names[symbol]: card.fits[symbol] for symbol in names},
        bars_dropped={names[symbol]: card.bars_dropped.get(symbol, {}) for symbol in names},
        dropped={engine_symbol(symbol): reason for symbol, reason in card.dropped.items()},
    )
    ModelRegistry(home.registry).register({**bundle, "version": version, "symbols": symbols}, candidate)
    if two_levels:
        return version
    bar_ms = judged[0].trained.bar_ms
    rows = evaluation_rows(
        version,
        candidate.fits,
        [replace(one.walk, symbol=names[one.symbol]) for one in judged],
        {names[one.symbol]: _series(names[one.symbol], one) for one in judged},
        bar_ms=bar_ms,
        bars_per_year=YEAR_MS / bar_ms,
        evaluated_at=datetime.now(UTC),
    )
    Warehouse(home.warehouse).writer(EVALUATIONS).upsert(rows)
    return version


def _series(symbol: str, one: Evaluated) -> Series:
    return Series(symbol=symbol, rows=one.trained.features(), open_ms=one.trained.open_ms)

"""A warehouse with bars and features and a registry with a version fitted on them."""

from __future__ import annotations

from pathlib import Path

from assets.feature_table import build, newest_series
from assets.fitting import FitTask, fit_symbol
from assets.tables import FEATURE_ROWS
from assets.training import assemble
from governance.registry import ModelRegistry
from strategies.regimes.fit import FitOptions
from tests.unit.assets.bars import DAY, STEP, SYMBOL, bars, stored
from tests.unit.assets.test_models import ORIGIN
from warehouse.store import Warehouse


def registered(folder: Path) -> tuple[Warehouse, ModelRegistry, str]:
    """Return the warehouse, the registry and the version."""
    store = stored(Warehouse(folder / "warehouse"), bars(1440))
    rows, _ = build(store, [DAY], market="spot", interval="1m", step_ms=STEP)
    store.writer(FEATURE_ROWS).upsert(rows)
    (series,), _ = newest_series(store, [SYMBOL], market="spot", interval="1m", step_ms=STEP, bars=5000)
    options = FitOptions(candidates=(2,), starts=2)
    fitted = fit_symbol(FitTask(series=series, bar_ms=STEP, min_bars=500, options=options, previous=None))
    bundle, card = assemble([fitted], {}, ORIGIN)
    registry = ModelRegistry(folder / "registry")
    registry.register(bundle, card)
    return store, registry, card.version

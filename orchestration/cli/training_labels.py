"""What each regime of the promoted model stands for, matched to the true regimes on the training span alone."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from assets.tables import FEATURE_ROWS
from governance.registry import ModelRegistry
from orchestration.cli.layout import Home
from orchestration.cli.scoring import match_labels
from strategies.features import FEATURES
from strategies.regimes.filtering import filter_batch
from strategies.regimes.model import RegimeModel
from warehouse.store import Warehouse


def labels_on_training_span(home: Home, version: str, truth: Mapping[int, int]) -> dict[str, dict[int, int]]:
    """Return model regime to true regime, by symbol.

    ``truth`` holds the true regime by bar open in epoch ms.

    Raises:
        ModelUnknown: the registry does not hold the version.
    """
    bundle = ModelRegistry(home.registry).bundle(version)
    reader = Warehouse(home.warehouse).reader(FEATURE_ROWS)
    labels: dict[str, dict[int, int]] = {}
    for symbol, values in bundle["symbols"].items():
        model = RegimeModel.from_dict(values)
        rows = reader.read(where=pl.col("symbol") == symbol).sort("open_at")
        opens = rows.get_column("open_at").dt.epoch("ms").to_numpy()
        trained = (opens >= model.trained_from_ms) & (opens < model.trained_to_ms)
        posteriors, _ = filter_batch(model, rows.select(FEATURES).to_numpy()[trained])
        pairs = [
            (regime, truth[open_at])
            for regime, open_at in zip(posteriors.argmax(axis=1).tolist(), opens[trained].tolist(), strict=True)
            if open_at in truth
        ]
        labels[symbol] = match_labels([ours for ours, _ in pairs], [true for _, true in pairs])
    return labels


def regime_names(home: Home, version: str) -> dict[str, dict[int, str]]:
    """Return the model's own names of its regimes, by symbol; empty without a model."""
    if not version:
        return {}
    bundle = ModelRegistry(home.registry).bundle(version)
    return {symbol: dict(enumerate(values["labels"])) for symbol, values in bundle["symbols"].items()}

"""``nhmm train --previous``: the version whose order of regimes a new one keeps, read from its sealed folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from governance.model_folder import ModelUntrusted, read_model_folder
from orchestration.cli.layout import Exit, Refused
from strategies.regimes.hierarchy import AnyModel, HierarchicalModel, read_model
from strategies.regimes.model import ModelRefused
from strategies.regimes.options import DEFAULT_FEATURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """A version and its models by the bare names of their symbols; ``interval`` is what it reads."""

    version: str = ""
    interval: str = ""
    models: Mapping[str, AnyModel] = field(default_factory=dict)

    def model(self, symbol: str) -> AnyModel | None:
        """Return the symbol's model, however the file writes its name."""
        return self.models.get(_name(symbol))


NO_PREVIOUS = Previous()


def read_previous(folder: Path, kind: str, symbols: Sequence[str]) -> Previous:
    """Return the version of a folder.

    Raises:
        Refused: it is no sealed model, another kind, of other features, or holds none of the symbols.
    """
    try:
        bundle, card = read_model_folder(folder)
        models = {_name(symbol): read_model(values) for symbol, values in bundle["symbols"].items()}
    except (ModelUntrusted, ModelRefused) as error:
        raise Refused(f"--previous: MODEL_UNTRUSTED: {error}", Exit.USAGE) from error
    if card.kind != kind:
        raise Refused(f"--previous {folder}: it is a {card.kind} model; train one with --kind {card.kind}", Exit.USAGE)
    others = {name for model in models.values() for name in _features(model)} - set(DEFAULT_FEATURES)
    if others:
        raise Refused(
            f"--previous {folder}: its regimes are made of other features: {', '.join(sorted(others))}", Exit.USAGE
        )
    found = Previous(version=card.version, interval=card.interval, models=models)
    if not any(found.model(symbol) for symbol in symbols):
        raise Refused(f"--previous {folder}: SYMBOL_UNKNOWN: it holds {', '.join(card.symbols)}", Exit.USAGE)
    return found


def _name(symbol: str) -> str:
    """Return a symbol without its venue and without regard to case."""
    return symbol.partition(".")[0].casefold()


def _features(model: AnyModel) -> tuple[str, ...]:
    return model.macro.features if isinstance(model, HierarchicalModel) else model.features

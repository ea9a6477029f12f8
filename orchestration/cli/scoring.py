"""How well the engine's own filtered regimes agree with the true ones, where the market knows them.

Labels are matched once, on the training span: each model regime stands for the true regime it met most often
there. What is scored is the engine's live view on bars that the model never saw, with that matching held fixed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence


def match_labels(model: Sequence[int], truth: Sequence[int]) -> dict[int, int]:
    """Return the true regime each model regime stands for: its most frequent companion.

    ``model`` and ``truth`` are regime numbers of the same bars, in the same order.

    Raises:
        ValueError: the sequences differ in length.
    """
    met: dict[int, Counter[int]] = {}
    for ours, true in zip(model, truth, strict=True):
        met.setdefault(ours, Counter())[true] += 1
    return {ours: companions.most_common(1)[0][0] for ours, companions in met.items()}


def agreement(
    live: Mapping[str, Sequence[tuple[int, int]]],
    labels: Mapping[str, Mapping[int, int]],
    truth: Mapping[int, int],
) -> float | None:
    """Return the share of live bars whose filtered regime is the true one, over all symbols.

    ``live`` holds (bar open in ms, model regime) by symbol, ``labels`` the matching by symbol, ``truth`` the true
    regime by bar open in ms. ``None`` where nothing can be compared.
    """
    right = compared = 0
    for symbol, bars in live.items():
        for open_at_ms, regime in bars:
            if open_at_ms not in truth:
                continue
            compared += 1
            right += labels.get(symbol, {}).get(regime) == truth[open_at_ms]
    return right / compared if compared else None

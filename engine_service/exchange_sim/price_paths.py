"""The form in which every source of prices, seeded or recorded, hands over its seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

TICKS_PER_SECOND = 5

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PathBlock:
    """Consecutive seconds of all symbols of a source.

    Attributes:
        prices: last traded price, shape (seconds, TICKS_PER_SECOND, symbols), quote per base.
        volumes: traded base quantity in each tick, same shape.
        buyer_takes: True where the buyer was the taker, same shape.
        regimes: true regime of each second, shape (seconds,); -1 where it is not known.
    """

    prices: FloatArray
    volumes: FloatArray
    buyer_takes: NDArray[np.bool_]
    regimes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.regimes)

    def part(self, start: int, stop: int | None = None) -> PathBlock:
        """Seconds [start, stop) as views."""
        cut = slice(start, stop)
        return PathBlock(self.prices[cut], self.volumes[cut], self.buyer_takes[cut], self.regimes[cut])


def join_blocks(blocks: list[PathBlock]) -> PathBlock:
    """One block out of several, in order."""
    return PathBlock(
        np.concatenate([b.prices for b in blocks]),
        np.concatenate([b.volumes for b in blocks]),
        np.concatenate([b.buyer_takes for b in blocks]),
        np.concatenate([b.regimes for b in blocks]),
    )


class PathSource(Protocol):
    """Where the market's seconds come from."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Venue symbols of the arrays' last axis."""

    @property
    def regime_names(self) -> tuple[str, ...]:
        """Names by regime number; empty where regimes are not known."""

    def history(self, seconds: int) -> PathBlock:
        """The past, called once and first. May be shorter than asked for where the source has less."""

    def next_block(self) -> PathBlock:
        """The next seconds, at least one."""

"""A journal in memory with a disk's manners: what is appended becomes durable later, and a crash loses the rest.

A commit takes time; entries appended meanwhile wait for the next. At a crash the committed ones survive, and of those
on their way to the disk some whole units from the front: a write that was cut off is no record.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from engine_service.domain.errors import Unavailable
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.port import Entry
from tests.simulation.world import World


@dataclass(slots=True)
class _Unit:
    """Entries of one append, and who waits for them."""

    entries: list[Entry]
    done: Future[int]


class CrashJournal(MemoryJournal):
    """One life of the journal; ``survivor`` makes the next."""

    def __init__(self, world: World, chance: Random, on_append: Callable[[Entry], None]) -> None:
        super().__init__()
        self._world = world
        self._chance = chance
        self._on_append = on_append
        self._given = 0
        self._queued: list[_Unit] = []
        self._writing: list[_Unit] = []
        self.dead = False

    @property
    def last_seq(self) -> int:
        return self._given

    @property
    def failed(self) -> bool:
        return self.dead

    def append(self, entries: Sequence[Entry]) -> Future[int]:
        """Queue entries for the disk.

        Raises:
            Unavailable: this life is over.
        """
        if self.dead:
            raise Unavailable("JOURNAL_UNAVAILABLE", "this process was killed")
        for entry in entries:
            self._on_append(entry)
        self._given += len(entries)
        done: Future[int] = asyncio.get_running_loop().create_future()
        self._queued.append(_Unit(list(entries), done))
        if not self._writing:
            self._begin()
        return done

    def _begin(self) -> None:
        self._writing, self._queued = self._queued, []
        if self._writing:
            self._world.after(self._chance.uniform(0.0005, 0.004), self._durable)

    def _durable(self) -> None:
        if self.dead:
            return
        units, self._writing = self._writing, []
        for unit in units:
            MemoryJournal.append(self, unit.entries)
            if not unit.done.done():
                unit.done.set_result(self._given)
        self._begin()

    async def flush(self) -> None:
        """Wait until everything appended so far is durable."""
        units = [*self._writing, *self._queued]
        if units:
            await asyncio.wait([unit.done for unit in units])

    def survivor(self) -> CrashJournal:
        """Kill this life; return what a new process finds on the disk."""
        self.dead = True
        torn = self._chance.randint(0, len(self._writing))
        found = CrashJournal(self._world, self._chance, self._on_append)
        found.take_over(self, [entry for unit in self._writing[:torn] for entry in unit.entries])
        return found

    def take_over(self, old: CrashJournal, torn: Sequence[Entry]) -> None:
        """Begin with what the last life made durable and the part of its last write that came whole."""
        self._events, self._orders = list(old._events), dict(old._orders)
        self._fills, self._answers = dict(old._fills), dict(old._answers)
        for entry in torn:
            self._events.append(entry.recorded)
            for projection in entry.projections:
                self._project(entry.recorded.seq, projection)
        self._given = len(self._events)

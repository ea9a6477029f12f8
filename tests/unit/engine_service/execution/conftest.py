"""What holds after every test here, whatever the test was about: money adds up and the journal explains the state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from engine_service.execution.core import EngineCore
from engine_service.storage.memory import MemoryJournal
from engine_service.storage.restore import restore


@pytest.fixture(autouse=True)
def books_and_journal_agree(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check every core that the test made, once it is over."""
    cores: list[EngineCore] = []
    connect = EngineCore.connect

    def noted(core: EngineCore) -> None:
        cores.append(core)
        connect(core)

    monkeypatch.setattr(EngineCore, "connect", noted)
    yield
    # Of several cores on one journal only the last one goes on with it.
    for core in {id(core.journal): core for core in cores}.values():
        _money_adds_up(core)
        if isinstance(core.journal, MemoryJournal):
            _the_journal_explains_it(core)


def _money_adds_up(core: EngineCore) -> None:
    books = core.state.portfolio
    assert books.identity_error == 0
    assert books.summed_book_value() == books.book_value
    for key, held_back in core.state.exposure.reserved.items():
        assert held_back >= 0, key
    assert core.state.open_orders or not any(core.state.exposure.reserved.values())


def _the_journal_explains_it(core: EngineCore) -> None:
    written = Counter(recorded.kind for recorded in core.journal.events_after(0, core.journal.last_seq))
    assert core.state.image.counts == dict(written), "a counter is not what the journal holds"
    again = restore(core.journal, newest_seq=core.journal.last_seq, snapshots=None).state
    assert again.image == core.state.image, "a replay gives another state"
    reserved = {key: value for key, value in core.state.exposure.reserved.items() if value}
    assert {key: value for key, value in again.exposure.reserved.items() if value} == reserved

"""How bad it gets: the odds of every fault, drawn once per schedule; nothing any more once the schedule calms down."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

#: How old a read may be at most, in seconds.
STALEST_S: Final = 4.0


@dataclass(slots=True, kw_only=True)
class Weather:
    """Probabilities per message unless a unit says otherwise.

    ``lost`` requests never arrive; ``mute`` requests arrive and their answers do not; ``late`` requests arrive seconds
    later, within what the venue allows; ``refused`` is the venue's own no, ``unsent`` a connection that never came up.
    ``stale_s`` is how old a read may be. ``down_for_s`` is how long reads fail once they begin to. ``unnamed`` reports
    count a trade without telling it, and reads of an order's trades stay ``hidden``. ``outlaw`` is a
    venue that acts on requests after the time it promised to drop them.
    """

    latency_s: float = 0.02
    lost: float = 0.0
    mute: float = 0.0
    late: float = 0.0
    refused: float = 0.0
    unsent: float = 0.0
    duplicate_word: float = 0.0
    gateway_only: float = 0.0
    read_fails: float = 0.0
    stale_s: float = 0.0
    down_for_s: float = 0.0
    stream_lost: float = 0.0
    stream_twice: float = 0.0
    stream_delay_s: float = 0.05
    stream_breaks: float = 0.0
    unnamed: float = 0.0
    hidden: float = 0.0
    outlaw: float = 0.0

    def clear(self) -> None:
        """Let the sun out: nothing is lost, late or wrong from now on."""
        for name, value in vars_of(Weather()).items():
            setattr(self, name, value)


def vars_of(weather: Weather) -> dict[str, float]:
    """Return the odds by name."""
    return {name: getattr(weather, name) for name in Weather.__dataclass_fields__}


def drawn(chance: Random) -> Weather:
    """Draw a schedule's weather: a fifth calm, most of them rough, some where nearly everything fails."""
    kind = chance.random()
    if kind < 0.15:
        return Weather(latency_s=chance.choice((0.001, 0.02, 0.3)))
    rough = 0.25 if kind < 0.8 else 0.6

    def odds(limit: float = 1.0) -> float:
        return chance.random() * rough * limit if chance.random() < 0.6 else 0.0

    return Weather(
        latency_s=chance.choice((0.001, 0.02, 0.1, 0.5)),
        lost=odds(),
        mute=odds(),
        late=odds(),
        refused=odds(),
        unsent=odds(0.5),
        duplicate_word=odds(0.3),
        gateway_only=odds(),
        read_fails=odds(),
        stale_s=chance.choice((0.0, 0.0, 0.5, 2.0, STALEST_S)),
        down_for_s=chance.choice((0.0, 5.0, 20.0, 60.0)),
        stream_lost=odds(),
        stream_twice=odds(),
        stream_delay_s=chance.choice((0.0, 0.05, 0.5, 3.0)),
        stream_breaks=odds(0.3),
        unnamed=odds(),
        hidden=0.9 if chance.random() < 0.15 else odds(),
        outlaw=0.3 if chance.random() < 0.03 else 0.0,
    )

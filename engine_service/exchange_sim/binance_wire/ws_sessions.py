"""Every open stream connection of the exchange: found by kind when a fault or the shut-down closes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from engine_service.exchange_sim.binance_wire.ws_connection import GOING_AWAY, SERVICE_RESTART, StreamConnection
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.faults import Faults


class Stream(StrEnum):
    """What the faults call a stream."""

    PUBLIC = "public"
    USER = "user"


class Session(Protocol):
    """One client's conversation."""

    market: Market
    stream: Stream
    connection: StreamConnection

    def announce_shutdown(self) -> None:
        """Tell the client that the exchange is about to close the connection."""


@dataclass(frozen=True, slots=True)
class SessionRegistry:
    """The open sessions."""

    open: set[Session]

    @classmethod
    def of(cls, faults: Faults) -> SessionRegistry:
        """A registry that carries out `disconnect` faults."""
        registry = cls(set())
        faults.on_disconnect(registry.disconnect)
        return registry

    def disconnect(self, market: str, stream: str) -> None:
        """Cut the connections that fit; empty fits all."""
        for session in list(self.open):
            if market in ("", session.market) and stream in ("", session.stream):
                session.connection.drop(GOING_AWAY, "disconnected")

    def shut_down(self) -> None:
        """Announce the end to every client, then close."""
        for session in list(self.open):
            session.announce_shutdown()
            session.connection.finish(SERVICE_RESTART, "server shutdown")

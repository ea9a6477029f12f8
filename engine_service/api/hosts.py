"""By which names this process may be called: a page that made its own name point here (DNS rebinding) is refused."""

from __future__ import annotations

from typing import Final

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


def allowed_hosts(*declared: str) -> frozenset[str]:
    """Return this machine's names for itself and those that were declared."""
    return LOOPBACK_HOSTS | frozenset(name.lower() for name in declared if name)

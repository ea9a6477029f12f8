"""How many requests are carried out at once: so many in all, and of one caller a share, so that others find room."""

from __future__ import annotations

from engine_service.domain.errors import Unavailable


class Places:
    """``most`` at once; one caller has three quarters of them at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = most * 3 // 4
        self._taken = 0
        self._by_caller: dict[str, int] = {}

    def check(self) -> None:
        """Tell a request that comes that there is no place left for anybody.

        Raises:
            Unavailable: ``OVERLOADED``.
        """
        if self._taken >= self._most:
            raise Unavailable("OVERLOADED", "Too many requests at once.", retry_after_s=1)

    def take(self, caller: str) -> None:
        """Take a place for a caller, empty for who needs no token.

        Raises:
            Unavailable: ``OVERLOADED``, all are taken or the caller has its share.
        """
        self.check()
        held = self._by_caller.get(caller, 0)
        if held >= self._share:
            why = f"One caller has at most {self._share} requests at once."
            raise Unavailable("OVERLOADED", why, retry_after_s=1)
        self._by_caller[caller] = held + 1
        self._taken += 1

    def leave(self, caller: str) -> None:
        """Give a place back."""
        left = self._by_caller.pop(caller) - 1
        if left:
            self._by_caller[caller] = left
        self._taken -= 1

"""Alerts: raised once, repeated rarely, resolved once, recorded always, sent where an address is configured."""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

import structlog

from assets.settings import AlertSettings

Severity = Literal["page", "warn"]
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is wrong now. ``key`` names it for ever, e.g. ``breaker-open/venue``."""

    key: str
    severity: Severity
    summary: str
    runbook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One line of the record. ``state`` is firing or resolved; ``first_at_ms`` is when it began."""

    key: str
    state: Literal["firing", "resolved"]
    at_ms: int
    first_at_ms: int
    severity: Severity
    summary: str
    runbook: str


class AlertBook:
    """The record of alerts in one append-only file; its last line per key is the state of that alert."""

    def __init__(self, path: Path, settings: AlertSettings, variables: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._settings = settings
        self._variables = os.environ if variables is None else variables

    def update(self, source: str, conditions: list[Condition], now_ms: int) -> list[Notice]:
        """Take everything that is wrong now by one source; return what was told: new, repeated and resolved.

        Args:
            source: prefix of the keys this source may resolve, e.g. ``engine``; keys are ``source/...``.
            conditions: all that holds now; what was firing and is not among them is resolved.
            now_ms: UTC epoch milliseconds.
        """
        wanted = {f"{source}/{condition.key}": condition for condition in conditions}
        return self._write(
            lambda firing: [
                *(self._raise(key, one, firing.get(key), now_ms) for key, one in wanted.items()),
                *(
                    _resolve(notice, now_ms)
                    for key, notice in firing.items()
                    if key.startswith(f"{source}/") and key not in wanted
                ),
            ]
        )

    def raise_once(self, source: str, condition: Condition, now_ms: int) -> list[Notice]:
        """Tell of one more thing that is wrong, leaving the source's others as they are."""
        key = f"{source}/{condition.key}"
        return self._write(lambda firing: [self._raise(key, condition, firing.get(key), now_ms)])

    def resolve(self, key: str, now_ms: int) -> list[Notice]:
        """Tell that one thing is well again; nothing happens where it was."""
        return self._write(lambda firing: [_resolve(firing[key], now_ms)] if key in firing else [])

    def firing(self) -> dict[str, Notice]:
        """Return what is wrong now, by key."""
        if not self._path.exists():
            return {}
        with self._path.open(encoding="utf-8") as file:
            return {key: notice for key, notice in _last(file).items() if notice.state == "firing"}

    # --- details ------------------------------------------------------------------------------------------------

    def _write(self, decide: Callable[[dict[str, Notice]], Sequence[Notice | None]]) -> list[Notice]:
        """Let ``decide`` choose notices from what is firing, make them durable, then tell them."""
        with self._locked() as file:
            firing = {key: notice for key, notice in _last(file).items() if notice.state == "firing"}
            told = [notice for notice in decide(firing) if notice is not None]
            file.write("".join("\n" + json.dumps(asdict(notice)) for notice in told))
            file.flush()
            os.fsync(file.fileno())
        for notice in told:
            self._tell(notice)
        return told

    def _raise(self, key: str, condition: Condition, before: Notice | None, now_ms: int) -> Notice | None:
        if before is not None and now_ms - before.at_ms < self._settings.repeat_after_s * 1000:
            return None
        return Notice(
            key=key,
            state="firing",
            at_ms=now_ms,
            first_at_ms=before.first_at_ms if before else now_ms,
            severity=condition.severity,
            summary=condition.summary,
            runbook=condition.runbook,
        )

    def _tell(self, notice: Notice) -> None:
        _log.warning("alert", **asdict(notice))
        if not self._settings.urls:
            return
        import apprise  # noqa: PLC0415  # only where an address is configured

        sender = apprise.Apprise()
        for url in self._settings.urls:
            sender.add(_VARIABLE.sub(lambda found: self._variables.get(found.group(1), ""), url))
        title = f"{notice.state}: {notice.key}"
        body = f"{notice.summary}\n{notice.runbook}".strip()
        if not sender.notify(title=title, body=body):
            _log.error("alert_not_sent", key=notice.key)

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _resolve(before: Notice, now_ms: int) -> Notice:
    return Notice(**{**asdict(before), "state": "resolved", "at_ms": now_ms})


def _last(file: IO[str]) -> dict[str, Notice]:
    """Return the newest notice of every key. Lines begin with their break, so that a torn one spoils no other."""
    file.seek(0)
    found: dict[str, Notice] = {}
    for line in file:
        try:
            raw: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        found[raw["key"]] = Notice(**raw)
    return found

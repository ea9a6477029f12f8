"""Where things are: the checkout, the data folder, the ports and the exit codes every command shares."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"

ENGINE_PORT = 8003
EXCHANGE_PORT = 8010
DAGSTER_PORT = 3000
CODE_SERVER_PORT = 4266

ENGINE_URL = f"http://{HOST}:{ENGINE_PORT}"


class Exit(IntEnum):
    """What a command's exit code means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    CONFIGURATION = 4


class Refused(Exception):
    """A command cannot begin; the message says why and what to do. ``exit_code`` is the command's."""

    def __init__(self, message: str, exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def written(path: Path, option: str) -> Iterator[None]:
    """Make the folder of a file that is written next.

    Raises:
        Refused: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Refused(f"{option} {path} cannot be written: {error}", Exit.USAGE) from error


@dataclass(frozen=True, slots=True)
class Home:
    """The data folder, ``NHMM_HOME``: one subfolder per owner."""

    path: Path

    @classmethod
    def resolve(cls, given: Path | None = None) -> Home:
        """Return the folder given, or ``NHMM_HOME``, or ``./data``; always absolute."""
        return cls((given or Path(os.environ.get("NHMM_HOME", "data"))).expanduser().resolve())

    @property
    def engine(self) -> Path:
        return self.path / "engine"

    @property
    def journal(self) -> Path:
        return self.engine / "journal.sqlite3"

    @property
    def keys(self) -> Path:
        """The journal's secrets."""
        return self.path / "keys"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints.jsonl"

    @property
    def dagster(self) -> Path:
        return self.path / "dagster"

    @property
    def warehouse(self) -> Path:
        return self.path / "warehouse"

    @property
    def registry(self) -> Path:
        return self.path / "registry"

    @property
    def demo(self) -> Path:
        return self.path / "demo"

    @property
    def tokens(self) -> Path:
        return self.engine / "tokens.json"


def url(port: int) -> str:
    """Return the loopback address of a port."""
    return f"http://{HOST}:{port}"


def port_is_free(port: int) -> bool:
    """True where a server can listen on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def choose_port(preferred: int) -> int:
    """Return the preferred port when it is free, else one that the system picks."""
    if port_is_free(preferred):
        return preferred
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the platform's processes listen; the documented ports unless chosen otherwise."""

    exchange: int = EXCHANGE_PORT
    engine: int = ENGINE_PORT
    web: int = DAGSTER_PORT
    code_server: int = CODE_SERVER_PORT

    @classmethod
    def choose(cls) -> Ports:
        """Return the documented ports where they are free, others where they are not."""
        return cls(*(choose_port(port) for port in (EXCHANGE_PORT, ENGINE_PORT, DAGSTER_PORT, CODE_SERVER_PORT)))

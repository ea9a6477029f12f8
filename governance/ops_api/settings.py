"""Where the ops API finds things: the data folder, the engine, Dagster. Flag beats variable beats default."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
PORT = 8002
ENGINE_URL = "http://127.0.0.1:8003"
DAGSTER_URL = "http://127.0.0.1:3000"
_URL = re.compile(r"^https?://[A-Za-z0-9.\-]+(:\d{1,5})?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsSettings:
    """The settings of one ops API. It listens on loopback only; a proxy with TLS may stand before it."""

    home: Path
    port: int
    engine_url: str
    dagster_url: str

    @property
    def token_file(self) -> Path:
        return self.home / "ops" / "token"

    @property
    def engine_tokens(self) -> Path:
        return self.home / "engine" / "tokens.json"


def read_settings(arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> OpsSettings:
    """Return the settings from the command line and ``NHMM_...`` variables.

    Raises:
        SystemExit: with 2, after saying what is wrong.
    """
    given = os.environ if variables is None else variables
    parser = argparse.ArgumentParser(prog="nhmm ops", description="The ops API: models, training, promotion.")
    parser.add_argument("--home", type=Path, default=Path(given.get("NHMM_HOME") or "data"), help="data folder")
    parser.add_argument("--port", type=_port, default=given.get("NHMM_OPS_PORT") or str(PORT), help="1-65535")
    parser.add_argument(
        "--engine-url", type=_url, default=given.get("NHMM_ENGINE_URL") or ENGINE_URL, help="the engine's address"
    )
    parser.add_argument(
        "--dagster-url", type=_url, default=given.get("NHMM_DAGSTER_URL") or DAGSTER_URL, help="Dagster's web server"
    )
    options = parser.parse_args(arguments)
    return OpsSettings(
        home=options.home.expanduser().resolve(),
        port=options.port,
        engine_url=options.engine_url,
        dagster_url=options.dagster_url,
    )


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a port from 1 to 65535")
    return int(text)


def _url(text: str) -> str:
    if not _URL.fullmatch(text.rstrip("/")):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is not http(s)://HOST[:PORT]")
    return text.rstrip("/")

"""``python -m governance.ops_api.main``: serves the ops API on loopback; one ready line, SIGTERM ends it with 0."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn

from governance.ops_api.access import TokenFileRefused, load_or_create_token
from governance.ops_api.app import create_app
from governance.ops_api.settings import HOST, OpsSettings, read_settings
from observability.log_config import configure

EXIT_FAILED = 1
EXIT_CONFIGURATION = 4
GRACE_S = 5


class _Server(uvicorn.Server):
    """Says when it serves, on standard output, where scripts read it."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"ready http://{self.config.host}:{self.config.port}\n")
        sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code."""
    settings = read_settings(sys.argv[1:] if arguments is None else arguments)
    configure(process="ops")
    try:
        token = load_or_create_token(settings.token_file)
        listener = socket.create_server((HOST, settings.port))
    except TokenFileRefused as error:
        sys.stderr.write(f"ops: {error}\n")
        return EXIT_CONFIGURATION
    except OSError as error:
        sys.stderr.write(f"ops: cannot serve on port {settings.port}: {error.strerror}; choose --port\n")
        return EXIT_FAILED
    _serve(settings, token, listener)
    return 0


def _serve(settings: OpsSettings, token: str, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(settings, token),
        host=HOST,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    # uvicorn raises the signal again once it has drained; by then it has had its effect.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    _Server(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())

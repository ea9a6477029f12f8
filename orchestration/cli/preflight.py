"""What is looked at before anything starts: configuration, ports, the data folder. A refusal is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from orchestration.cli.layout import Exit, Home, Refused, port_is_free
from orchestration.cli.processes import child_environment


def require_configuration(engine: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Check every file, variable and flag as the processes would read them. ``engine`` is the engine's command line.

    Raises:
        Refused: with 4; names file, key, value and what is allowed.
    """
    environment = child_environment(variables)
    require_research_configuration(environment)
    done = subprocess.run(
        [sys.executable, *engine, "--check-config"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["the engine gave no reason"]
        raise Refused(words[-1], Exit.CONFIGURATION)


def require_research_configuration(variables: Mapping[str, str] | None = None) -> None:
    """Check the research half's variables and files.

    Raises:
        Refused: with 4; names file, key, value and what is allowed.
    """
    from orchestration.environment import ConfigurationInvalid, load  # noqa: PLC0415  # most commands do without

    try:
        load(os.environ if variables is None else variables)
    except ConfigurationInvalid as error:
        raise Refused(str(error), Exit.CONFIGURATION) from error


def require_ports(ports: Iterable[int]) -> None:
    """Check that every port can be listened on.

    Raises:
        Refused: with 1; names the first that cannot.
    """
    for port in ports:
        if not port_is_free(port):
            raise Refused(f"port {port} is in use; stop the other program, or choose another port (see --help)")


def require_home(home: Home) -> None:
    """Make the data folder, and check that it can be written.

    Raises:
        Refused: with 1; names the folder and the system's reason.
    """
    probe = home.path / f".probe-{os.getpid()}"
    try:
        home.path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Refused(f"{home.path} cannot be written: {error.strerror}; choose another: --home DIR") from error

"""``config/risk.yaml``: flat limits, read strictly, into the policy that the rails judge by; and their ceilings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine_service.domain.errors import ConfigurationError, InvalidRequest, Refused
from engine_service.risk.ceilings import Ceilings, parse_ceilings, refuse_above
from engine_service.risk.policy import RiskPolicy, parse
from engine_service.yaml_strict import Plain, YamlRefused, load_file

CEILINGS_FILE = "risk_ceilings.yaml"
R = TypeVar("R")


def load_policy(path: Path) -> RiskPolicy:
    """Return the limits of the file. Every key is required: a missing limit is not a default.

    Raises:
        ConfigurationError: ``CONFIG_INVALID``, naming the file, the key, its value and what is allowed.
    """
    policy = _read(path, parse)
    try:
        refuse_above(policy, load_ceilings(path.with_name(CEILINGS_FILE), policy))
    except Refused as error:
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {error.detail}") from error
    return policy


def load_ceilings(path: Path, policy: RiskPolicy) -> Ceilings:
    """Return the ceilings of the file, none where there is no file.

    Raises:
        ConfigurationError: ``CONFIG_INVALID``, as ``load_policy``.
    """
    return _read(path, lambda values: parse_ceilings(values, policy)) if path.exists() else {}


def _read(path: Path, parsed: Callable[[dict[str, Plain]], R]) -> R:
    try:
        values = load_file(path)
    except YamlRefused as error:
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {error}") from error
    try:
        return parsed(values)
    except InvalidRequest as error:
        key = error.errors[0].field if error.errors else ""
        shown = f" = {str(values[key])[:60]}" if key in values else ""
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {key}{shown}: {error.detail}") from error

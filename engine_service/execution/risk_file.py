"""``config/risk.yaml``: flat limits, read strictly, into the policy that the rails judge by."""

from __future__ import annotations

from pathlib import Path

from engine_service.domain.errors import ConfigurationError, InvalidRequest
from engine_service.risk.policy import RiskPolicy, parse
from engine_service.yaml_strict import YamlRefused, load_file


def load_policy(path: Path) -> RiskPolicy:
    """Return the limits of the file. Every key is required: a missing limit is not a default.

    Raises:
        ConfigurationError: ``CONFIG_INVALID``, naming the file, the key, its value and what is allowed.
    """
    try:
        values = load_file(path)
    except YamlRefused as error:
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {error}") from error
    try:
        return parse(values)
    except InvalidRequest as error:
        key = error.errors[0].field if error.errors else ""
        shown = f" = {str(values[key])[:60]}" if key in values else ""
        raise ConfigurationError("CONFIG_INVALID", f"{path}: {key}{shown}: {error.detail}") from error

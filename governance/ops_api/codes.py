"""Every code that the ops API refuses with, and its status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STATUS: Final[Mapping[str, int]] = {
    "HOST_NOT_ALLOWED": 400,
    "TOKEN_REQUIRED": 401,
    "ROUTE_UNKNOWN": 404,
    "MODEL_UNKNOWN": 404,
    "SYMBOL_UNKNOWN": 404,
    "RUN_UNKNOWN": 404,
    "METHOD_NOT_ALLOWED": 405,
    "MODEL_UNTRUSTED": 409,
    "MODEL_INVALID": 409,
    "MODEL_KIND": 409,
    "NO_CHAMPION": 409,
    "BODY_TOO_LARGE": 413,
    "REQUEST_INVALID": 422,
    "BARS_UNORDERED": 422,
    "BARS_INVALID": 422,
    "BARS_INTERVAL": 422,
    "BARS_TOO_FEW": 422,
    "NO_BARS": 422,
    "IRREGULAR_BARS": 422,
    "CONFLICTING_BARS": 422,
    "INTERNAL": 500,
    "DAGSTER_REFUSED": 502,
    "ENGINE_REFUSED": 502,
    "DAGSTER_UNREACHABLE": 503,
    "ENGINE_UNREACHABLE": 503,
}
#: What any request can be refused with.
ANY: Final = ("HOST_NOT_ALLOWED", "BODY_TOO_LARGE", "INTERNAL")
#: What a request that starts or asks for a Dagster run can be refused with.
OF_DAGSTER: Final = ("DAGSTER_REFUSED", "DAGSTER_UNREACHABLE")
#: What a request with bars can be refused with.
OF_BARS: Final = (
    "BARS_UNORDERED",
    "BARS_INVALID",
    "BARS_INTERVAL",
    "BARS_TOO_FEW",
    "NO_BARS",
    "IRREGULAR_BARS",
    "CONFLICTING_BARS",
)

"""Every ``NHMM_...`` variable that any part of the product reads, and what a mistyped one was meant to be.

A variable that nothing reads changes nothing: whoever set it believes that it does. It is a warning and no refusal,
because each part reads its own and all of them are often set together.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

PREFIX: Final = "NHMM_"

#: A test compares these with the settings and with the names in the code.
KNOWN: Final = frozenset(
    {
        "NHMM_ACCOUNT_IS_SHARED",
        "NHMM_BAR_INTERVAL",
        "NHMM_CHECKPOINT_FILE",
        "NHMM_COMPUTE",
        "NHMM_COMPUTE_WORKERS",
        "NHMM_CONFIG",
        "NHMM_DAGSTER_URL",
        "NHMM_DEAD_MAN_S",
        "NHMM_ENGINE_URL",
        "NHMM_HOME",
        "NHMM_HOST",
        "NHMM_IDEMPOTENCY_TTL_S",
        "NHMM_INTERVAL",
        "NHMM_LOG_LEVEL",
        "NHMM_MAX_CONCURRENT_REQUESTS",
        "NHMM_MAX_SYMBOLS",
        "NHMM_MIN_TURNOVER",
        "NHMM_OPS_PORT",
        "NHMM_ORDER_ENTRY",
        "NHMM_PAPER_LATENCY_MS",
        "NHMM_PORT",
        "NHMM_PROMOTION",
        "NHMM_READS_PER_MIN",
        "NHMM_RECONCILE_EVERY_S",
        "NHMM_REPORTING_ASSET",
        "NHMM_SCHEDULES",
        "NHMM_SNAPSHOT_EVERY_S",
        "NHMM_STRATEGIES",
        "NHMM_SUBMIT_DEADLINE_S",
        "NHMM_SYMBOLS",
        "NHMM_TOKEN_FILE",
        "NHMM_TWO_PERSON_RESUME",
        "NHMM_VENUE",
        "NHMM_VENUE_URL",
    }
)


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Say of each name that looks like ours and that nothing reads what was probably meant."""
    return [_said(name) for name in sorted(names) if name.upper().startswith(PREFIX) and name not in KNOWN]


def _said(name: str) -> str:
    near = get_close_matches(name.upper(), sorted(KNOWN), n=1)
    return f"{name} is not read by anything" + (f"; {near[0]} is meant?" if near else "")

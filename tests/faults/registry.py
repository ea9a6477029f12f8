"""Every row of the table, in the order it is printed."""

from __future__ import annotations

from typing import Final

from tests.faults import (
    bad_inputs,
    fault_matrix,
    identical_posts,
    openapi_fuzz,
    report_streams,
    sigkill,
    sigterm,
    simulated,
    tampered_journals,
    torn_journals,
    venue_faults,
)
from tests.faults.rows import Row

ROWS: Final[tuple[Row, ...]] = (
    sigkill.ROW,
    identical_posts.ROW,
    venue_faults.ROW,
    simulated.ROW,
    torn_journals.ROW,
    tampered_journals.ROW,
    report_streams.ROW,
    sigterm.ROW,
    bad_inputs.ROW,
    openapi_fuzz.ROW,
    fault_matrix.ROW,
)

"""Every row of the table, in the order it is printed."""

from __future__ import annotations

from typing import Final

from tests.faults import identical_posts, sigkill
from tests.faults.rows import Row

ROWS: Final[tuple[Row, ...]] = (sigkill.ROW, identical_posts.ROW)

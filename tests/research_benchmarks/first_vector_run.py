"""Our vector path's first run in a fresh process: ``python -m tests.research_benchmarks.first_vector_run BARS``."""

from __future__ import annotations

import json
import sys

from tests.research_benchmarks import trading

if __name__ == "__main__":
    print(json.dumps({"seconds": trading.run(trading.bars(int(sys.argv[1])), "vector").seconds}))

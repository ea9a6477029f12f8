"""How many requests were answered, by route and status: counted at once, published when somebody looks."""

from __future__ import annotations

from collections import Counter

import prometheus_client


class RequestCounts:
    """A metric's counter takes a lock for each request, which one event loop has no need of."""

    def __init__(self, metric: prometheus_client.Counter) -> None:
        self._metric = metric
        self._new: Counter[tuple[str, int]] = Counter()

    def observe(self, route: str, status: int) -> None:
        """Count one answer."""
        self._new[route, status] += 1

    def publish(self) -> None:
        """Add what was counted since the last time to the metric."""
        counted, self._new = self._new, Counter()
        for (route, status), number in counted.items():
            self._metric.labels(route, str(status)).inc(number)

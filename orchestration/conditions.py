"""What the engine's metrics say is wrong. Pure: samples in, conditions out."""

from collections.abc import Iterator, Mapping, Sequence

from orchestration.alerts import Condition

Samples = Mapping[str, Sequence[tuple[Mapping[str, str], float]]]

ENGINE_DOWN = "docs/runbooks/engine-down.md"
BREAKER_OPEN = "docs/runbooks/breaker-open.md"
RECONCILE = "docs/runbooks/reconcile-lag.md"
IN_DOUBT = "docs/runbooks/order-in-doubt.md"


def engine_down(url: str, why: str) -> Condition:
    """Return the condition of an engine that does not answer."""
    return Condition(
        key="down", severity="page", summary=f"The engine at {url} does not answer: {why}.", runbook=ENGINE_DOWN
    )


def breakers_open(samples: Samples) -> list[Condition]:
    """Return one condition per open breaker."""
    return [
        Condition(
            key=labels.get("breaker", "breaker"),
            severity="page",
            summary=f"The {labels.get('breaker', '')} breaker is open; risk-increasing orders are refused.",
            runbook=BREAKER_OPEN,
        )
        for labels, value in samples.get("nhmm_breaker_open", ())
        if value == 1
    ]


def reconcile_trouble(samples: Samples, max_lag_s: float) -> list[Condition]:
    """Return one condition per venue that was not compared for too long, or that differs."""
    return [*_late(samples, max_lag_s), *_breaks(samples)]


def _late(samples: Samples, max_lag_s: float) -> Iterator[Condition]:
    for labels, value in samples.get("nhmm_reconcile_lag_seconds", ()):
        if value > max_lag_s:
            venue = labels.get("venue", "venue")
            yield Condition(
                key=f"lag/{venue}",
                severity="warn",
                summary=f"No complete comparison with {venue} for more than {max_lag_s:.0f} s.",
                runbook=RECONCILE,
            )


def _breaks(samples: Samples) -> Iterator[Condition]:
    for labels, value in samples.get("nhmm_reconcile_breaks", ()):
        if value > 0:
            venue = labels.get("venue", "venue")
            yield Condition(
                key=f"breaks/{venue}",
                severity="page",
                summary=f"Engine and {venue} disagree in {value:.0f} points.",
                runbook=RECONCILE,
            )


def orders_in_doubt(samples: Samples) -> list[Condition]:
    """Return one condition per venue with orders whose outcome is unknown."""
    return [
        Condition(
            key=labels.get("venue", "venue"),
            severity="warn",
            summary=f"{value:.0f} orders at {labels.get('venue', 'the venue')} have an unknown outcome.",
            runbook=IN_DOUBT,
        )
        for labels, value in samples.get("nhmm_orders_unresolved", ())
        if value > 0
    ]

"""A page that says what it waits for: on a new installation a schedule's first ticks are no failures."""

import dagster as dg


def waiting(context: dg.AssetExecutionContext, reason: Exception) -> dg.MaterializeResult[None]:
    """Return a materialisation without anything made; ``reason`` says what must come first."""
    context.log.info(f"waiting: {reason}")
    return dg.MaterializeResult(metadata={"verdict": "WAITING", "reason": str(reason)})

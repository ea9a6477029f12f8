"""Great Expectations over a table's rows: suites as data, results as values.

The library costs seconds to import, so it is loaded only inside ``validate``. An expectation that raised instead
of answering is an error of the check, never a pass and never a plain data failure.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

Severity = Literal["critical", "warning"]
_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation: ``kind`` is a class name of ``great_expectations.expectations``."""

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "critical"


@dataclass(frozen=True, slots=True)
class Suite:
    """What must hold for a table."""

    name: str
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one expectation. ``error`` is set where it could not be evaluated."""

    expectation: str
    about: str
    severity: Severity
    passed: bool
    unexpected: int = 0
    unexpected_pct: float = 0.0
    samples: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """All answers about one frame."""

    suite: str
    rows: int
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Expectations that raised."""
        return tuple(finding for finding in self.findings if finding.error)

    def failures(self, severity: Severity) -> tuple[Finding, ...]:
        """Return what did not pass; an expectation that raised counts as critical whatever it was declared."""
        return tuple(
            finding
            for finding in self.findings
            if not finding.passed and ("critical" if finding.error else finding.severity) == severity
        )

    @property
    def passed(self) -> bool:
        """True where nothing critical failed or raised."""
        return not self.failures("critical")


def validate(frame: pl.DataFrame, suite: Suite) -> QualityReport:
    """Run a suite over rows, in one batch.

    Raises:
        AttributeError: the suite names an expectation that the library does not have.
    """
    began = time.monotonic()
    result = _run(frame, suite)
    return QualityReport(
        suite=suite.name,
        rows=frame.height,
        seconds=time.monotonic() - began,
        findings=tuple(_findings(result)),
    )


def _run(frame: pl.DataFrame, suite: Suite) -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read by the library while it is imported
    import great_expectations as gx  # noqa: PLC0415  # ten CPU seconds and 250 MiB: only where a check runs
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415  # as above

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    name = f"{suite.name}-{uuid.uuid4().hex}"
    source = context.data_sources.add_pandas(name)
    batch = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("all")
    expectations = [_built(gx, expectation) for expectation in suite.expectations]
    return batch.get_batch({"dataframe": frame.to_pandas()}).validate(
        gx.ExpectationSuite(name=name, expectations=expectations),
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": _SAMPLES},
    )


def _built(gx: Any, expectation: Expectation) -> Any:
    kind = getattr(gx.expectations, expectation.kind)
    return kind(**expectation.arguments, severity=expectation.severity)


def _findings(result: Any) -> Iterator[Finding]:
    """Yield the findings in a stable order: the library's own differs from the suite's."""
    found = [_finding(entry) for entry in result.results]
    yield from sorted(found, key=lambda finding: (finding.expectation, finding.about))


def _finding(entry: Any) -> Finding:
    config = entry.expectation_config
    detail = entry.result or {}
    error = raised_message(entry.exception_info)
    return Finding(
        expectation=config.type,
        about=_about(config.kwargs),
        severity="warning" if str(config.severity).lower().endswith("warning") else "critical",
        passed=bool(entry.success) and not error,
        unexpected=int(detail.get("unexpected_count") or 0),
        unexpected_pct=float(detail.get("unexpected_percent") or 0.0),
        samples=", ".join(map(str, detail.get("partial_unexpected_list") or [detail.get("observed_value", "")])),
        error=error,
    )


def raised_message(info: Mapping[str, Any] | None) -> str:
    """Return the message of a raised metric, empty where none raised.

    The library reports it in two shapes: flat, or one entry per metric.
    """
    if not info:
        return ""
    if "raised_exception" in info:
        return str(info.get("exception_message") or "raised") if info["raised_exception"] else ""
    return "; ".join(filter(None, (raised_message(entry) for entry in info.values() if isinstance(entry, dict))))


def _about(arguments: Mapping[str, Any]) -> str:
    hidden = {"batch_id", "severity"}
    return ", ".join(f"{key}={value}" for key, value in arguments.items() if key not in hidden)

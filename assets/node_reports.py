"""One node's view of the regimes as a file that other nodes read. A file is strange until proven otherwise."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from assets.feature_table import newest_series
from assets.settings import ResearchSettings
from governance.registry import ModelRegistry
from strategies.regimes.filtering import filter_batch
from strategies.regimes.model import RegimeModel
from warehouse.store import Warehouse

MAX_BYTES = 2_000_000
MAX_NODES = 200


class SymbolView(BaseModel):
    """Shares of the regimes over the newest bars; ``labels`` name them, ``evidence`` counts the bars."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    labels: tuple[Annotated[str, Field(max_length=60)], ...] = Field(min_length=1, max_length=8)
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1, max_length=8)
    evidence: float = Field(gt=0, le=1e9)

    @field_validator("shares")
    @classmethod
    def _a_distribution(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if len(value) != len(info.data.get("labels", value)) or abs(sum(value) - 1.0) > 1e-6:
            raise ValueError("one share per label, together 1")
        return value


class NodeReport(BaseModel):
    """What a node leaves for the others. ``sharpe`` is its champion's out-of-sample figure, where it has one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    node: str = Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,39}$")
    at_ms: int = Field(gt=0)
    market: str = Field(max_length=20)
    interval: str = Field(max_length=10)
    version: str = Field(max_length=100)
    symbols: Mapping[Annotated[str, Field(max_length=64)], SymbolView] = Field(max_length=5000)
    sharpe: float | None = None
    sharpe_se: float | None = Field(default=None, gt=0)


def own_report(
    warehouse: Warehouse,
    registry: ModelRegistry,
    settings: ResearchSettings,
    *,
    node: str,
    bars: int,
    now_ms: int,
    sharpe: tuple[float, float] | None,
) -> NodeReport | None:
    """Return this node's view by its champion's filter over the newest stored bars, ``None`` without a champion."""
    champion = registry.champion()
    if champion is None:
        return None
    models = {symbol: RegimeModel.from_dict(values) for symbol, values in registry.bundle(champion)["symbols"].items()}
    series, _ = newest_series(
        warehouse,
        sorted(models),
        market=settings.market,
        interval=settings.interval,
        step_ms=settings.bar_ms,
        bars=bars,
    )
    views = {}
    for one in series:
        model = models[one.symbol]
        shares = filter_batch(model, one.rows)[0].mean(axis=0)
        shares = shares / shares.sum()
        views[one.symbol] = SymbolView(labels=model.labels, shares=tuple(shares.tolist()), evidence=len(one.rows))
    return NodeReport(
        node=node,
        at_ms=now_ms,
        market=settings.market,
        interval=settings.interval,
        version=champion,
        symbols=views,
        sharpe=sharpe[0] if sharpe else None,
        sharpe_se=sharpe[1] if sharpe else None,
    )


def leave(folder: Path, report: NodeReport) -> None:
    """Put a node's view where the others look, in one step: nobody reads half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{report.node}.{uuid.uuid4().hex}.part"
    part.write_text(report.model_dump_json(), encoding="utf-8")
    part.replace(folder / f"{report.node}.json")


def read_all(
    folder: Path, *, now_ms: int, max_age_s: int, market: str, interval: str
) -> tuple[list[NodeReport], dict[str, str]]:
    """Return the views that count, by node, and by file why the others do not."""
    found: list[NodeReport] = []
    refused: dict[str, str] = {}
    for path in sorted(folder.glob("*.json"))[:MAX_NODES]:
        report, reason = _read(path)
        if report is None:
            refused[path.name] = reason
        elif report.node != path.stem:
            refused[path.name] = f"NAME_DIFFERS: it says it is {report.node}"
        elif not 0 <= now_ms - report.at_ms + 60_000 <= max_age_s * 1000 + 60_000:
            refused[path.name] = f"STALE: {(now_ms - report.at_ms) / 1000:.0f} s old, at most {max_age_s}"
        elif (report.market, report.interval) != (market, interval):
            refused[path.name] = f"OTHER_MARKET: {report.market} {report.interval}"
        else:
            found.append(report)
    return found, refused


def _read(path: Path) -> tuple[NodeReport | None, str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            return None, f"TOO_LARGE: more than {MAX_BYTES} bytes"
        return NodeReport.model_validate_json(path.read_bytes()), ""
    except OSError as error:
        return None, f"UNREADABLE: {error.strerror}"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return None, f"INVALID: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"[:200]

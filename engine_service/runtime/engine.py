"""The running engine as its API sees it: the core with everything that was built around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine_service.domain.ids import Market
from engine_service.execution.core import EngineCore
from engine_service.risk.ceilings import Ceilings
from engine_service.risk.policy import RiskPolicy
from engine_service.runtime.bracket_keeper import BracketKeeper
from engine_service.runtime.event_bus import EventBus
from engine_service.runtime.market_feed import MarketFeed
from engine_service.runtime.regime_tape import RegimeTape
from engine_service.runtime.strategy_config import StrategyConfig
from engine_service.runtime.strategy_loop import StrategyLoop
from engine_service.runtime.supervisor import Supervisor
from engine_service.settings import EngineSettings
from engine_service.storage.anchors import Anchors
from engine_service.storage.lease import Lease
from engine_service.storage.recent_rows import RecentRows
from engine_service.venues.reports import AccountSnapshot
from observability.metrics import Metrics


@dataclass(slots=True, kw_only=True)
class Engine:
    """One process's parts. ``market`` is the one market this account trades."""

    settings: EngineSettings
    market: Market
    core: EngineCore
    bus: EventBus
    metrics: Metrics
    feed: MarketFeed
    loop: StrategyLoop
    brackets: BracketKeeper
    tape: RegimeTape
    strategies: Mapping[str, StrategyConfig]
    build: Mapping[str, str]
    load_risk_file: Callable[[], RiskPolicy]
    load_ceilings: Callable[[], Ceilings]
    cursor_key: bytes
    audit_key: bytes
    anchors: Anchors
    recent: RecentRows
    checked_from: int
    lease: Lease
    supervisor: Supervisor
    epoch: int
    stopping: bool = False
    snapshot: AccountSnapshot | None = None
    failed: asyncio.Event = field(default_factory=asyncio.Event)

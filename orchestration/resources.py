"""The outside world of the assets: made from settings here, plain values there."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import dagster as dg

from assets.ports import Clock, Compute, Engine, MarketData
from engine_service.client.client import EngineClient
from governance.audit import DecisionLog
from governance.registry import ModelRegistry
from orchestration.alerts import AlertBook
from orchestration.environment import Configuration
from warehouse.store import Warehouse

T = TypeVar("T")
R = TypeVar("R")


class SystemClock:
    """The machine's own wall clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class LocalCompute:
    """Runs work in this process, or in worker processes of this machine; the results are the same."""

    def __init__(self, backend: Literal["serial", "loky"], workers: int) -> None:
        self._backend = backend
        self._workers = workers

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return the function's result for every item, in order."""
        work = list(items)
        if self._backend == "serial" or len(work) < 2:
            return [function(item) for item in work]
        from joblib import Parallel, delayed  # noqa: PLC0415  # only where processes are asked for

        return list(
            Parallel(n_jobs=min(self._workers, len(work)), backend="loky")(delayed(function)(item) for item in work)
        )


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """The tables below ``root``: a folder, or a file URL."""

    root: str

    def create_resource(self, context: dg.InitResourceContext) -> Warehouse:
        return Warehouse(self.root)


class ComputeResource(dg.ConfigurableResource[Compute]):
    """Where fits run."""

    backend: Literal["serial", "loky"] = "serial"
    workers: int = 2

    def create_resource(self, context: dg.InitResourceContext) -> Compute:
        return LocalCompute(self.backend, self.workers)


class MarketDataResource(dg.ConfigurableResource[MarketData]):
    """Public data of one market, within the request budget that is shared through ``home``."""

    base_url: str = ""
    market: str = "spot"
    home: str = "data"

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[MarketData]:
        from engine_service.venues.market_data import BinanceMarketData  # noqa: PLC0415  # only for runs that ask

        with BinanceMarketData(self.base_url, self.market, home=self.home) as market_data:
            yield market_data


class EngineResource(dg.ConfigurableResource[Engine]):
    """The engine's REST API, with the admin token that the engine left in the data folder."""

    url: str
    token_file: str

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Engine]:
        with connect(self.url, Path(self.token_file)) as client:
            yield client


class EngineNotStarted(Exception):
    """There is no token to speak to the engine with."""


def connect(url: str, token_file: Path, timeout_s: float = 15.0, scope: str = "admin") -> EngineClient:
    """Return a client of the engine.

    Raises:
        EngineNotStarted: no engine has left its tokens where they are looked for.
    """
    try:
        token = json.loads(token_file.read_text(encoding="utf-8"))[scope]
    except (OSError, ValueError, KeyError) as error:
        raise EngineNotStarted(f"no engine token in {token_file}; start the engine once: nhmm up") from error
    return EngineClient(url, token, timeout_s=timeout_s)


def build_resources(configuration: Configuration) -> dict[str, Any]:
    """Return every resource by the name that assets, checks and sensors ask for."""
    environment = configuration.environment
    return {
        "settings": configuration.research,
        "decision_settings": configuration.decisions,
        "warehouse": WarehouseResource(root=str(environment.home / "warehouse")),
        "market_data": MarketDataResource(
            base_url=environment.venue_url, market=environment.market, home=str(environment.home)
        ),
        "engine": EngineResource(url=environment.engine_url, token_file=str(environment.tokens)),
        "compute": ComputeResource(backend=environment.compute, workers=environment.compute_workers),
        "registry": ModelRegistry(environment.home / "registry"),
        "decisions": DecisionLog(environment.home / "decisions.jsonl"),
        "clock": _clock(),
        "alert_book": AlertBook(environment.home / "alerts" / "alerts.jsonl", configuration.alerts),
    }


def _clock() -> Clock:
    return SystemClock()

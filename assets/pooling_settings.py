"""What ``config/pooling.yaml`` may hold: every key with its range."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from strategies.pooling import PoolOptions

Distance = Annotated[float, Field(ge=0, le=1)]


class PoolingSettings(BaseModel):
    """``config/pooling.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    every_minutes: int = Field(ge=1, le=60, description="Minutes between two looks at the pool.")
    node: str = Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,39}$", description="This node's name.")
    folder: str = Field(description="Folder that the nodes share; empty for NHMM_HOME/pool.")
    evidence_bars: int = Field(ge=10, le=100_000, description="Newest bars behind a view.")
    max_age_s: int = Field(ge=60, le=604_800, description="Seconds after which a view no longer counts.")
    max_share: float = Field(gt=0, le=1, description="Largest weight of one node.")
    outlier_spreads: float = Field(ge=1, le=20, description="Spreads beyond the median distance.")
    min_distance: Distance = Field(description="Distance below which nobody is left out.")
    prior_evidence: float = Field(ge=0, le=1_000_000, description="Bars that say equal shares.")
    drift_distance: Distance = Field(description="Distance from the pool that counts as far.")
    drift_looks: int = Field(ge=1, le=100, description="Looks in a row that make a drift.")

    def place(self, home_pool: Path) -> Path:
        """Return the folder that the nodes share."""
        return Path(self.folder).expanduser() if self.folder else home_pool

    def options(self) -> PoolOptions:
        """Return the rule's own form."""
        used = ("max_share", "outlier_spreads", "min_distance", "prior_evidence", "drift_distance", "drift_looks")
        return PoolOptions(**{name: getattr(self, name) for name in used})

"""What ``config/parity.yaml`` may hold: every key with its range."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class ParitySettings(BaseModel):
    """``config/parity.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    days: int = Field(ge=1, le=31, description="Newest UTC days that are compared, today included.")
    fee_bps: Decimal = Field(ge=0, le=1000, description="Fee that the backtest assumes of every fill.")
    half_spread_bps: Decimal = Field(ge=0, le=1000, description="Distance from the close that it assumes.")
    settle_s: int = Field(ge=0, le=3600, description="Seconds after a bar until its orders count as done.")
    pause_s: int = Field(ge=10, le=3600, description="Seconds of silence in the journal that count as down.")

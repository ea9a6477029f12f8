"""What ``config/advice.yaml`` may hold: every key with its range."""

from pydantic import BaseModel, ConfigDict, Field


class AdviceSettings(BaseModel):
    """``config/advice.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    valid_minutes: int = Field(ge=11, le=1440, description="Minutes after which advice that was not renewed ends.")
    tactics: bool = Field(description="Whether the engine is told how to send entries.")
    sizes: bool = Field(description="Whether the engine is told how large entries should be.")

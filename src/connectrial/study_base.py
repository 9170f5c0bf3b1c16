"""What every section of the study file has in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Label = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
RoleName = Literal["primary", "secondary", "negative control", "exploratory", "sensitivity"]
WhoName = Literal["patients", "controls", "everyone"]


class Section(BaseModel):
    """One table of the study file: unknown keys are refused, values never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False
    )

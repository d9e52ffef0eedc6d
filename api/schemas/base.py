"""The model that all bodies and queries of requests are made from."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from api.schemas.fields import refuse

MAX_UNKNOWN = 20
"""Fields beyond those there are, of which each gets an error of its own."""


class RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _limit_fields(cls, value: Any) -> Any:
        """One error in place of one for each of very many unknown fields."""
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + MAX_UNKNOWN:
            raise refuse(
                "too_many_fields",
                f"has {len(value)} fields: see /openapi.json for the {len(cls.model_fields)} there are",
            )
        return value

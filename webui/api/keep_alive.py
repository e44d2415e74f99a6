"""`keep_alive` of a request: how long the model stays in memory after it, in the words that Ollama's clients use."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from webui.config import parse_duration


def _to_seconds(value: Any) -> Any:
    """Numbers are seconds, texts may have a unit; negative: for ever (-1)."""
    if not isinstance(value, str):
        return -1.0 if isinstance(value, int | float) and value < 0 else value
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("keep_alive", "{reason}", {"reason": str(error)}) from None


KeepAlive = Annotated[
    Annotated[float, Field(ge=-1, le=10 * 365 * 86400, allow_inf_nan=False)] | None, BeforeValidator(_to_seconds)
]
KEEP_ALIVE = Field(
    None,
    validation_alias=AliasChoices("keep_alive", "ttl"),  # LM Studio's programs say ttl
    description="Seconds that the model stays in memory afterwards, or “5m”; 0: not at all, -1: for ever",
    examples=["5m"],
)

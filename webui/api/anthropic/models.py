"""The list of models in Anthropic's shape. Its route is OpenAI's: the header `anthropic-version` tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel

from webui.types import ModelFile


class AnthropicModel(BaseModel):
    type: Literal["model"] = "model"
    id: str
    display_name: str
    created_at: datetime
    lifecycle: Literal["active"] = "active"
    max_input_tokens: int


class AnthropicModelList(BaseModel):
    data: list[AnthropicModel]
    has_more: bool = False
    first_id: str | None
    last_id: str | None


def anthropic_model(name: str, model: ModelFile) -> AnthropicModel:
    created = model.path.stat().st_mtime if model.path.exists() else 0
    return AnthropicModel(
        id=name,
        display_name=model.name,
        created_at=datetime.fromtimestamp(created, UTC),
        max_input_tokens=model.context_train,
    )


def anthropic_list(listed: Sequence[tuple[str, ModelFile]]) -> AnthropicModelList:
    """Only those that write messages; all on one page."""
    data = [anthropic_model(name, model) for name, model in listed if model.kind == "chat"]
    return AnthropicModelList(data=data, first_id=data[0].id if data else None, last_id=data[-1].id if data else None)

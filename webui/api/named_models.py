"""Every name that a request's `model` can give, for the lists of all dialects."""

from __future__ import annotations

from webui.core.application import Application
from webui.types import ModelFile

_KINDS = ("chat", "embedding", "rerank")


async def list_usable(application: Application) -> list[tuple[str, ModelFile]]:
    """Each with its model: models by their id, then presets."""
    usable = [each for each in await application.models.models() if each.kind in _KINDS and each.problem is None]
    by_id = {model.id: model for model in usable}
    presets = [each for each in application.records.presets if each.model_id in by_id]
    return [*by_id.items(), *((preset.name, by_id[preset.model_id]) for preset in presets)]

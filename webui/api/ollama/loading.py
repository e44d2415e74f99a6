"""What a request without content does: it loads the model, or unloads it when `keep_alive` is 0."""

from __future__ import annotations

from typing import Literal

from webui.core.application import Application


async def load_or_unload(application: Application, name: str, keep_alive: float | None) -> Literal["load", "unload"]:
    """What was done. Raises UnknownModel, or what loading raises."""
    if keep_alive == 0:
        await application.models.unload(name)
        return "unload"
    await application.models.load_beside(name, keep_alive=keep_alive)
    return "load"

"""Whether a batch may have its model loaded: not while somebody's model would have to go for it.

It asks the pool who would go, and stops nobody.
"""

from __future__ import annotations

import asyncio

from webui.core.model_manager import ModelManager

QUIET_SECONDS = 300.0  #: since its last answer, before a model may give its room to a batch


async def would_disturb(models: ModelManager, name: str) -> bool:
    """Whether the named model is not there, and one that is used, or was lately, would have to go for it. Raises what
    loading it would raise beforehand: UnknownModel, ModelTooBig, or what is wrong with its file."""
    target = await models.target(name)
    if models.pool.get(target.model.id) is not None or models.pool.is_loading(target.model.id):
        return False
    room = await models.pool.plan(target, None)
    now = asyncio.get_running_loop().time()
    return any(not models.pool.is_idle(live) or now - live.used_at < QUIET_SECONDS for live in room.leaving)

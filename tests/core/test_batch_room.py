"""A batch does not push out the model that somebody talks to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from tests.core.fake_engine import model_file
from webui.core.batch_room import QUIET_SECONDS, would_disturb


def models(*, leaving: list[Any], present: bool = False, is_idle: bool = True) -> Any:
    """A manager for whose model “B” these would have to go."""

    async def target(_: str) -> Any:
        return SimpleNamespace(model=model_file("B"))

    async def plan(_target: Any, _replaces: None) -> Any:
        return SimpleNamespace(leaving=leaving)

    pool = SimpleNamespace(
        get=lambda _: object() if present else None, is_loading=lambda _: False, is_idle=lambda _: is_idle, plan=plan
    )
    return SimpleNamespace(target=target, pool=pool)


async def test_a_model_that_is_used_or_was_lately_stays() -> None:
    now = asyncio.get_running_loop().time()
    lately, long_ago = SimpleNamespace(used_at=now - 5), SimpleNamespace(used_at=now - QUIET_SECONDS - 1)
    assert await would_disturb(models(leaving=[lately]), "B")
    assert not await would_disturb(models(leaving=[long_ago]), "B")
    assert await would_disturb(models(leaving=[long_ago], is_idle=False), "B")
    assert not await would_disturb(models(leaving=[]), "B")
    assert not await would_disturb(models(leaving=[lately], present=True), "B")

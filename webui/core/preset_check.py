"""The curated presets, and what the hub says of each. It is asked only when somebody wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from webui.errors import HubAnswerUnusable, HubDenied, HubNotFound
from webui.library.hub.client import HubClient
from webui.library.hub.reference import HubReference
from webui.library.presets import Preset, PresetState, PresetStatus, load_presets

_NUM_AT_ONCE = 4
_TOLERANCE = 0.05  #: sizes in presets.toml are rounded


class PresetCheck:
    """`statuses` as last seen; `check()` asks anew."""

    def __init__(self) -> None:
        self.statuses = tuple(PresetStatus(preset=each, size_bytes=each.size_bytes) for each in load_presets())

    async def check(self, client: Callable[[], HubClient]) -> tuple[PresetStatus, ...]:
        """Raises HubOffline or HubBusy when the hub does not answer; what was known before stays."""
        turn = asyncio.Semaphore(_NUM_AT_ONCE)

        async def ask(preset: Preset) -> PresetStatus:
            async with turn:
                return await _check(preset, client())

        found = await asyncio.gather(*(ask(each.preset) for each in self.statuses))
        self.statuses = tuple(found)
        return self.statuses


async def _check(preset: Preset, client: HubClient) -> PresetStatus:
    """The hub tells strangers of what is gone and of what is private the same; presets are not private."""
    try:
        repo, variant = await client.resolve(HubReference(repo=preset.repo, variant=preset.variant))
    except (HubNotFound, HubDenied, HubAnswerUnusable):
        return PresetStatus(preset=preset, state="gone", size_bytes=preset.size_bytes)
    is_as_known = abs(variant.size_bytes - preset.size_bytes) <= preset.size_bytes * _TOLERANCE
    state: PresetState = "available" if is_as_known else "changed"
    if repo.is_gated and client.token is None:
        state = "denied"
    return PresetStatus(preset=preset, state=state, size_bytes=variant.total_bytes)

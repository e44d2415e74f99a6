"""LoRA adapters by the names that a request gives them: files of the model folders, and no others.

A name is looked up in the catalog's list; nothing that comes with a request is ever a path. Whether an adapter goes
with the model is for the engine to say, which has both.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from webui.errors import InvalidRequest, UnknownAdapter
from webui.library.catalog import Catalog
from webui.types import LoraAdapter, ModelFile

MAX_ADAPTERS = 4  #: for one request
MAX_SCALE = 100.0


@dataclass(frozen=True, slots=True)
class AdapterChoice:
    """An adapter as a request names it: by id, file name or name, whatever the case of its letters."""

    name: str
    scale: float = 1.0


async def find_adapters(catalog: Catalog, choices: Sequence[AdapterChoice]) -> tuple[LoraAdapter, ...]:
    """The files behind the names, always in the same order, those without effect left out: requests that want the same
    share what was read. Raises UnknownAdapter, InvalidRequest, or what is wrong with the file."""
    if not choices:
        return ()
    if len(choices) > MAX_ADAPTERS:
        raise InvalidRequest(f"A request takes at most {MAX_ADAPTERS} adapters, not {len(choices)}.")
    adapters = [each for each in await catalog.scan() if each.kind == "adapter"]
    scales: dict[str, float] = {}
    for choice in choices:
        if not math.isfinite(choice.scale) or abs(choice.scale) > MAX_SCALE:
            raise InvalidRequest(f"The scale of an adapter must be between -100 and 100, not {choice.scale:g}.")
        path = str(_find(adapters, choice.name).path)
        if path in scales:
            raise InvalidRequest(f"The adapter “{choice.name}” is named twice.")
        scales[path] = choice.scale
    used = {path: scale for path, scale in sorted(scales.items()) if scale}
    versions = await asyncio.to_thread(_versions, [each for each in adapters if str(each.path) in used])
    return tuple(LoraAdapter(path=path, scale=scale, version=versions[path]) for path, scale in used.items())


def _find(adapters: list[ModelFile], name: str) -> ModelFile:
    """An id before a file name before a name."""
    wanted = name.casefold()
    spellings = [(each.id, each.path.name, each.name) for each in adapters]
    for way in range(3):
        for adapter, spelled in zip(adapters, spellings, strict=True):
            if spelled[way].casefold() == wanted:
                return adapter
    raise UnknownAdapter(name[:200])


def _versions(adapters: list[ModelFile]) -> dict[str, str]:
    """What changes with each file."""
    versions = {}
    for adapter in adapters:
        try:
            status = adapter.path.stat()
        except OSError:  # deleted since the scan
            raise UnknownAdapter(adapter.name) from None
        versions[str(adapter.path)] = f"{status.st_mtime_ns:x}-{status.st_size:x}"
    return versions

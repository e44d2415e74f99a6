"""Puts what the doctor recommends into the plan of a load, wherever the person has set nothing else.

It knows plans and recommendations; whether a recommendation is still true of the file and the machine is asked of
whoever gives it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from webui.config import Settings
from webui.core.neighbours import Neighbours
from webui.core.planning import Planner, Target
from webui.library.memory_fit import FitPlan
from webui.store.model_values import ModelDefaults
from webui.types import ModelFile, Tuning

_TOGETHER = frozenset({"kv_type", "flash_attention"})
TUNABLE = frozenset(field.name for field in msgspec.structs.fields(Tuning))


def fixed_by_settings(settings: Settings) -> frozenset[str]:
    """Those of Tuning's settings that flags, the environment or a file have set. KV type and flash attention hang
    together: whoever chose one has chosen both. A draft model is for guessing ahead."""
    fixed = set(TUNABLE & settings.model_fields_set)
    if fixed & _TOGETHER:
        fixed |= _TOGETHER
    if settings.draft_model is not None:
        fixed.add("speculate")
    return frozenset(fixed)


def fixed_by_person(settings: Settings, defaults: ModelDefaults) -> frozenset[str]:
    """Those that are set for all models, or among the defaults of one."""
    fixed = set(fixed_by_settings(settings))
    if defaults.kv_type is not None or defaults.flash_attention is not None:
        fixed |= _TOGETHER
    if defaults.draft_model is not None:
        fixed.add("speculate")
    return frozenset(fixed)


def with_tuning(planner: Planner, settings: Settings, tuning: Callable[[ModelFile], Tuning]) -> Planner:
    """The planner, with recommendations. `tuning` is called where the planner is: in a thread."""
    fixed = fixed_by_settings(settings)

    def plan(target: Target, neighbours: Neighbours) -> FitPlan:
        if target.model.kind != "chat":
            return planner(target, neighbours)
        found = {name: value for name, value in _values(tuning(target.model)).items() if name not in fixed}
        fit = planner(_with_memory(target, found), neighbours)
        options = {name: found[name] for name in ("threads", "speculate", "batch_tokens") if name in found}
        if not _has_room(fit, options.get("batch_tokens")):
            del options["batch_tokens"]
        return replace(fit, options=msgspec.structs.replace(fit.options, **options))

    return plan


def with_tuned_memory(
    find: Callable[[str], Awaitable[Target]], settings: Settings, tuning: Callable[[ModelFile], Tuning]
) -> Callable[[str], Awaitable[Target]]:
    """How a model would be loaded, as far as its memory goes: for sums that are made before."""
    fixed = fixed_by_settings(settings)

    async def find_tuned(name: str) -> Target:
        target = await find(name)
        if target.model.kind != "chat":
            return target
        found = await asyncio.to_thread(lambda: _values(tuning(target.model)))
        return _with_memory(target, {key: value for key, value in found.items() if key not in fixed})

    return find_tuned


def _with_memory(target: Target, found: dict[str, object]) -> Target:
    if target.kv_type is not None or target.flash_attention is not None:
        return target
    return replace(target, **{name: found[name] for name in _TOGETHER if name in found})  # type: ignore[arg-type]


def _values(tuning: Tuning) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(tuning).items() if value is not None}


def _has_room(fit: FitPlan, batch_tokens: object) -> bool:
    """Whether compute buffers may grow with the batch, which plans count at its usual size."""
    usual = fit.options.batch_tokens
    if not isinstance(batch_tokens, int) or batch_tokens <= usual:
        return True
    more = fit.compute_bytes * (batch_tokens - usual) // usual
    return all(device.free_bytes - device.needed_bytes >= more for device in fit.devices if device.compute_bytes)

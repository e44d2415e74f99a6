"""The sheet's tab Defaults: how a model is used where nobody says otherwise, and presets under names."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import msgspec
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.config import LARGEST_CONTEXT
from webui.core.application import Application
from webui.errors import GlasshouseError, UnknownPreset
from webui.library.hardware import has_gpu_backend
from webui.store.model_values import AdapterSetting, ModelDefaults, ModelPreset
from webui.types import FlashAttention, KvType, ModelFile
from webui.ui.models.change import matching_adapters
from webui.ui.models.details import sampling_hints
from webui.ui.models.part import Json
from webui.ui.models.sheet_part import SheetPart, Shown
from webui.ui.sampling_input import read_count, read_sampling

_STRONGEST = 10.0


class DefaultsPart(SheetPart):
    """Each change is stored at once, and every open page hears of it."""

    def __init__(self, element: Element, application: Application, shown: Shown) -> None:
        super().__init__(element, application, shown)
        element.on("defaults", self._on_defaults)
        element.on("preset", self._on_preset)

    async def first(self, model: ModelFile) -> Json:
        models = await self._app.models.models()
        memory = await asyncio.to_thread(self._app.models.memory)
        drafts = [each for each in models if each.is_chat and not each.problem and each.size_bytes < model.size_bytes]
        return {
            "defaults": {
                **self.view_stored(model),
                "adapters": await matching_adapters(self._app, model),
                "drafts": [{"id": each.id, "name": each.name} for each in drafts],
                "general": msgspec.to_builtins(self._app.preferences.get().sampling),
                "hints": await self._find_hints(model),
                "hasGpu": has_gpu_backend() and bool(memory.gpus),
            }
        }

    def view_stored(self, model: ModelFile) -> Json:
        """What is kept for the model, and its presets."""
        presets = self._app.records.presets_of(model)
        return {
            "own": view_defaults(self._app.records.of(model).defaults),
            "presets": [{"name": each.name, "defaults": view_defaults(each.defaults)} for each in presets],
        }

    async def _find_hints(self, model: ModelFile) -> Json:
        try:
            return sampling_hints(await self._app.catalog.details(model.id))
        except GlasshouseError:
            return {}

    async def _on_defaults(self, event: GenericEventArguments) -> None:
        model_id, preset, changes = str(event.args["id"]), event.args["preset"], event.args["changes"]
        if await self.attempt_for(model_id, "defaults", self._save(model_id, preset, changes)):
            self._tell_stored(model_id, saved=True)

    async def _save(self, model_id: str, preset: str | None, changes: Json) -> None:
        model = await self._app.catalog.find(model_id)
        records = self._app.records
        if preset is None:
            defaults = msgspec.structs.replace(records.of(model).defaults, **read_changes(changes))
            await records.update(model, defaults=defaults)
            return
        known = self._find_preset(str(preset))
        defaults = msgspec.structs.replace(known.defaults, **read_changes(changes))
        await records.save_preset(msgspec.structs.replace(known, defaults=defaults), model)

    async def _on_preset(self, event: GenericEventArguments) -> None:
        model_id, name = str(event.args["id"]), str(event.args["name"])
        change = (
            self._app.records.delete_preset(name)
            if event.args["action"] == "delete"
            else self._create_preset(model_id, name, event.args.get("from"))
        )
        if await self.attempt_for(model_id, "preset", change):
            self._tell_stored(model_id, saved=True)

    async def _create_preset(self, model_id: str, name: str, source: str | None) -> None:
        """A new preset begins with what was on the page."""
        model = await self._app.catalog.find(model_id)
        defaults = self._find_preset(source).defaults if source else self._app.records.of(model).defaults
        await self._app.records.save_preset(ModelPreset(name=name, model_id=model_id, defaults=defaults), model)

    def _find_preset(self, name: str) -> ModelPreset:
        found = self._app.records.preset(name)
        if found is None:
            raise UnknownPreset(name)
        return found

    def _tell_stored(self, model_id: str, *, saved: bool) -> None:
        if self._shown.model is not None:
            self.tell(model_id, defaults=self.view_stored(self._shown.model), saved=saved)


def view_defaults(defaults: ModelDefaults) -> Json:
    return {
        "systemPrompt": defaults.system_prompt,
        "sampling": None if defaults.sampling is None else msgspec.to_builtins(defaults.sampling),
        "adapters": [{"name": each.name, "scale": each.scale} for each in defaults.adapters],
        "ctx": defaults.ctx,
        "gpuLayers": defaults.gpu_layers,
        "kvType": defaults.kv_type,
        "flashAttention": defaults.flash_attention,
        "chatTemplate": defaults.chat_template,
        "draftModel": defaults.draft_model,
        "keepAlive": defaults.keep_alive,
    }


def read_changes(given: Json) -> dict[str, Any]:
    """Known names only, numbers within what makes sense; None means "not said here"."""
    readers = {
        "systemPrompt": ("system_prompt", _text),
        "sampling": ("sampling", lambda value: read_sampling(value) if isinstance(value, dict) else None),
        "adapters": ("adapters", _adapters),
        "ctx": ("ctx", lambda value: read_count(value, at_least=256, at_most=LARGEST_CONTEXT)),
        "gpuLayers": ("gpu_layers", lambda value: read_count(value, at_least=-1)),
        "kvType": ("kv_type", lambda value: value if value in get_args(KvType) else None),
        "flashAttention": ("flash_attention", lambda value: value if value in get_args(FlashAttention) else None),
        "chatTemplate": ("chat_template", _text),
        "draftModel": ("draft_model", _text),
        "keepAlive": ("keep_alive", lambda value: read_count(value, at_least=-1)),
    }
    return {readers[name][0]: readers[name][1](value) for name, value in given.items() if name in readers}


def _text(given: object) -> str | None:
    return given if isinstance(given, str) else None


def _adapters(given: object) -> tuple[AdapterSetting, ...]:
    if not isinstance(given, list):
        return ()
    return tuple(
        AdapterSetting(name=str(each["name"]), scale=min(_STRONGEST, max(0.0, float(each["scale"])))) for each in given
    )

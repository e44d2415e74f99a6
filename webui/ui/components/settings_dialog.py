"""The settings dialog: what people choose for all chats, for one chat, and for the models.

Every change is stored at once and confirmed on the page. Theme and other looks stay in the browser.
"""

from __future__ import annotations

from collections.abc import Awaitable
from importlib import metadata
from typing import Any

import msgspec
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui import __version__
from webui.config import LARGEST_CONTEXT
from webui.core.application import Application
from webui.core.model_folders import ModelFolders
from webui.errors import GlasshouseError, UnknownConversation
from webui.library.hardware import has_gpu_backend
from webui.store.preferences import PreferenceChanges
from webui.types import SamplingParams
from webui.ui.components import COMPONENTS
from webui.ui.components.keys_part import KeysPart
from webui.ui.sampling_input import read_count, read_sampling

Json = dict[str, Any]


class SettingsDialog(Element, component=COMPONENTS / "settings_dialog.js"):
    """One per page; the shell's `openDialog("settings")` opens it. The browser says which conversation is open."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self._application = application
        self._folders = ModelFolders(application.settings, application.preferences, application.set_extra_dirs)
        self._conversation_id: str | None = None
        settings = application.settings
        self._props["initial"] = {
            "version": __version__,
            "modelsDir": str(settings.models_dir),
            "dataDir": str(settings.data_dir),
            "defaults": msgspec.to_builtins(SamplingParams()),
            "hasGpu": has_gpu_backend() and bool(application.models.memory().gpus),
            "engine": f"llama.cpp, through llama-cpp-python {metadata.version('llama-cpp-python')}",
            "chat": None,
            "folders": [],
        } | self._view_preferences()
        KeysPart(self, application)
        self.on("opened", self._on_opened)
        self.on("save", self._on_save)
        self.on("addFolder", self._on_add_folder)
        self.on("removeFolder", self._on_remove_folder)

    def _view_preferences(self) -> Json:
        chosen = self._application.preferences.get()
        return {
            "all": {"systemPrompt": chosen.system_prompt, "sampling": msgspec.to_builtins(chosen.sampling)},
            "ctx": chosen.ctx,
            "gpuLayers": chosen.gpu_layers,
        }

    async def _view_chat(self) -> Json | None:
        if self._conversation_id is None:
            return None
        try:
            conversation = (await self._application.chats.thread(self._conversation_id)).conversation
        except UnknownConversation:
            return None
        return {
            "title": conversation.title,
            "systemPrompt": conversation.system_prompt or "",
            "sampling": msgspec.to_builtins(conversation.sampling),
        }

    async def _view_folders(self) -> list[Json]:
        return [
            {"path": folder.path, "isFixed": folder.is_fixed, "problem": folder.problem}
            for folder in await self._folders.list()
        ]

    async def _on_opened(self, event: GenericEventArguments) -> None:
        self._conversation_id = event.args or None
        news = {"chat": await self._view_chat(), "folders": await self._view_folders()}
        self._send(**news, **self._view_preferences())  # read last: nothing may be stored in between

    async def _on_save(self, event: GenericEventArguments) -> None:
        changes: Json = event.args["changes"]
        is_chat = event.args["scope"] == "chat"
        await self._try("general", self._save_chat(changes) if is_chat else self._save_all(changes))

    async def _save_all(self, changes: Json) -> None:
        preferences = PreferenceChanges()
        if "systemPrompt" in changes:
            preferences["system_prompt"] = str(changes["systemPrompt"])
        if "sampling" in changes:
            preferences["sampling"] = read_sampling(changes["sampling"])
        if "ctx" in changes:
            preferences["ctx"] = read_count(changes["ctx"], at_least=256, at_most=LARGEST_CONTEXT)
        if "gpuLayers" in changes:
            preferences["gpu_layers"] = read_count(changes["gpuLayers"], at_least=0)
        await self._application.preferences.set(**preferences)

    async def _save_chat(self, changes: Json) -> None:
        if self._conversation_id is None:
            return
        if "systemPrompt" in changes:
            prompt = str(changes["systemPrompt"]).strip() or None
            await self._application.chats.update(self._conversation_id, system_prompt=prompt)
        if "sampling" in changes:
            own = changes["sampling"]
            sampling = None if own is None else read_sampling(own)
            await self._application.chats.update(self._conversation_id, sampling=sampling)

    async def _on_add_folder(self, event: GenericEventArguments) -> None:
        async def add() -> None:
            await self._folders.add(str(event.args))
            self.run_method("folderAdded")

        await self._try("folder", add())
        self._send(folders=await self._view_folders())

    async def _on_remove_folder(self, event: GenericEventArguments) -> None:
        await self._try("folder", self._folders.remove(str(event.args)))
        self._send(folders=await self._view_folders())

    async def _try(self, place: str, change: Awaitable[None]) -> None:
        """Make a change and say that it is saved, or what is wrong with it."""
        try:
            await change
        except GlasshouseError as error:
            self.run_method("showProblem", place, error.message)
        else:
            self.run_method("saved")

    def _send(self, **news: Any) -> None:
        self.run_method("receive", news)

"""The tab Yours: what is on this machine, what runs, what fits, and how full memory and disk are."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.errors import GlasshouseError, LoadOvertaken, ModelTooBig
from webui.library.card_reader import read_details
from webui.library.hardware import has_gpu_backend
from webui.types import ModelFile
from webui.ui.model_view import device_words, view_memory, view_warning
from webui.ui.models.discover import view_verdict
from webui.ui.models.part import Json, Part
from webui.ui.models.rows import view_fit, view_row, view_running

_MAX_PLANNED = 60
_Known = dict[tuple[Path, int], tuple[str, ...]]  #: what files can do, by path and size


class YoursPart(Part):
    """Sends rows, running models, memory and disk while somebody looks."""

    def __init__(self, element: Element, application: Application) -> None:
        super().__init__(element, application)
        self._has_gpu_backend = has_gpu_backend()
        self._fits: dict[str, Json | None] = {}
        self._capabilities: _Known = {}
        self._sent: list[Json] = []
        self._cancelled: set[str] = set()  # models whose loading was cancelled here: no error to show for it
        element.on("load", self._on_load)
        element.on("unload", self._on_unload)
        element.on("favour", self._on_favour)

    async def view_now(self) -> Json:
        """What changes by itself: memory and what runs."""
        memory = await asyncio.to_thread(self._app.models.memory)
        return {
            "memory": view_memory(memory),
            "warning": view_warning(self._app.memory_watch.warning),
            "device": device_words(memory, has_gpu_backend=self._has_gpu_backend),
            **self.view_running(),
        }

    def view_running(self) -> Json:
        return {
            "running": view_running(self._app.models.status, self._app.models.alive),
            "chosen": self._app.preferences.get().model_id,
        }

    async def send_models(self) -> None:
        """The rows at once with what was known before, and again when fit and capabilities are known anew."""
        models = await self._app.models.models()
        times = await asyncio.to_thread(_modified_times, models)
        disk = await asyncio.to_thread(_view_disk, self._app.settings.models_dir, models)
        self._send_rows(models, times, disk)
        self._capabilities = await asyncio.to_thread(_read_capabilities, models, self._capabilities)
        self._fits = {model.id: await self._judge(model, len(models)) for model in models if model.problem is None}
        self._send_rows(models, times, disk)

    def _send_rows(self, models: list[ModelFile], times: dict[str, float], disk: Json) -> None:
        rows = [
            view_row(
                model,
                self._app.records.of(model),
                modified_at=times[model.id],
                capabilities=self._capabilities.get((model.path, model.size_bytes), ()),
                fit=self._fits.get(model.id),
                report=self._app.doctor.report(model.id),
            )
            for model in models
        ]
        if rows != self._sent:
            self._sent = rows
            self.send(models=rows, disk=disk)

    async def _judge(self, model: ModelFile, num_models: int) -> Json | None:
        """As loading would plan it; of many models by their sizes alone, because each plan reads a header."""
        if model.kind == "adapter":
            return None
        try:
            if num_models > _MAX_PLANNED or not model.is_chat:
                return view_verdict(await self._app.hub.judge(model.size_bytes))
            return view_fit(await self._app.models.fit(model.id))
        except ModelTooBig as error:
            return view_fit(error)
        except GlasshouseError:  # a file that went away meanwhile
            return None

    def forget_sent(self) -> None:
        """Whoever looks anew has nothing yet."""
        self._sent = []

    async def _on_load(self, event: GenericEventArguments) -> None:
        model_id = str(event.args["id"])
        self._cancelled.discard(model_id)
        try:
            await load_for_person(self._app, model_id)
        except LoadOvertaken:
            return
        except GlasshouseError as error:
            if model_id not in self._cancelled:
                self.send(error={"place": model_id, "text": error.message})

    async def _on_unload(self, event: GenericEventArguments) -> None:
        model_id = str(event.args)
        self._cancelled.add(model_id)
        await self.attempt(model_id, self._app.models.unload(model_id))

    async def _on_favour(self, event: GenericEventArguments) -> None:
        model_id = str(event.args["id"])
        is_favourite = bool(event.args["isFavourite"])

        async def favour() -> None:
            model = await self._app.catalog.find(model_id)
            await self._app.records.update(model, is_favourite=is_favourite)

        await self.attempt(model_id, favour())


async def load_for_person(application: Application, model_id: str, **wishes: Any) -> None:
    """A chat model in place of the page's; what is for search, beside it."""
    model = await application.catalog.find(model_id)
    if model.is_chat:
        await application.models.load(model_id, **wishes)
    else:
        await application.models.load_beside(model_id)


def _read_capabilities(models: list[ModelFile], known: _Known) -> _Known:
    """What each can do beside chatting; only files that were not read before are opened. Blocks."""
    keys = {(model.path, model.size_bytes): model for model in models}
    return {key: known[key] if key in known else _capabilities(model) for key, model in keys.items()}


def _capabilities(model: ModelFile) -> tuple[str, ...]:
    if model.problem is not None:
        return ()
    try:
        return tuple(sorted(read_details(model).capabilities))
    except (GlasshouseError, OSError):  # its sheet says what is wrong
        return ()


def _modified_times(models: list[ModelFile]) -> dict[str, float]:
    return {model.id: modified_time(model.path) for model in models}


def modified_time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _view_disk(folder: Path, models: list[ModelFile]) -> Json:
    """The disk that imports and downloads go to, and how much of it is models."""
    existing = next((each for each in (folder, *folder.parents) if each.is_dir()), Path("/"))
    usage = shutil.disk_usage(existing)
    own = sum(model.size_bytes for model in models if model.source == "local")
    return {
        "folder": str(folder),
        "own": min(own, usage.used),  # a file may have holes
        "elsewhere": sum(model.size_bytes for model in models if model.source != "local"),
        "total": usage.total,
        "free": usage.free,
    }

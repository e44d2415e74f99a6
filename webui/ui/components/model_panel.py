"""The model panel: what models there are, which one runs, and how full the memory is.

It shows what the model manager says and passes on what the person presses. The bytes of imports do not come this way.
"""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import background_tasks
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.core.application import Application
from webui.errors import GlasshouseError, ModelTooBig
from webui.library.hardware import has_gpu_backend
from webui.library.memory_fit import DEFAULT_CONTEXT, FitPlan
from webui.types import ModelFile, ModelStatus
from webui.ui.components import COMPONENTS
from webui.ui.model_view import device_words, plan_words, view_memory, view_model, view_status, view_warning


class ModelPanel(Element, component=COMPONENTS / "model_panel.js"):
    """One per page. It sends the status always, the rest only while somebody sees the panel (event `look`)."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self._application = application
        self._models = application.models
        self._has_gpu_backend = has_gpu_backend()
        self._cancelled: str | None = None  # the model whose loading was cancelled here: no error to show for it
        self._shown_state = self._models.status.state
        self._props["initial"] = {
            "models": None,
            "status": view_status(self._models.status),
            "folder": str(application.settings.models_dir),
            **self._view_choice(),
            **self._view_memory(),
        }
        self._stops = [
            self._models.changed.subscribe(self._on_status),
            self._models.catalog_changed.subscribe(lambda _: self._refresh()),
        ]
        self.on("look", self._on_look)
        self.on("load", self._on_load)
        self.on("unload", self._on_unload)
        self.on("remove", self._on_remove)
        self.on("plan", self._on_plan)

    def _handle_delete(self) -> None:
        for stop in self._stops:
            stop()
        super()._handle_delete()

    # --- from the application to the page --------------------------------------------------------------------------

    def _send(self, **news: Any) -> None:
        self.run_method("receive", news)

    def _on_status(self, status: ModelStatus) -> None:
        self._send(status=view_status(status))
        if status.state != self._shown_state:  # what fits, and what is chosen, changes with what is loaded
            self._shown_state = status.state
            if status.state not in {"starting", "stopping"}:
                self._refresh()

    def _refresh(self) -> None:
        background_tasks.create(self._send_models(), name="refresh the model panel")

    async def _send_models(self) -> None:
        models = await self._models.models()
        cards = [view_model(model, await self._fit(model)) for model in models]
        self._send(models=cards, **self._view_choice())

    async def _fit(
        self, model: ModelFile, ctx: int | None = None, gpu_layers: int | None = None
    ) -> FitPlan | ModelTooBig | None:
        try:
            return await self._models.fit(model.id, ctx=ctx, gpu_layers=gpu_layers)
        except ModelTooBig as error:
            return error
        except GlasshouseError:  # a broken file says so itself
            return None

    def _view_choice(self) -> dict[str, Any]:
        chosen = self._application.preferences.get()
        return {"chosen": chosen.model_id, "preferred": {"ctx": chosen.ctx, "gpuLayers": chosen.gpu_layers}}

    def _view_memory(self) -> dict[str, Any]:
        memory = self._models.memory()
        words = device_words(memory, has_gpu_backend=self._has_gpu_backend)
        return {
            "memory": view_memory(memory),
            "device": words,
            "warning": view_warning(self._application.memory_watch.warning),
        }

    # --- from the page to the application --------------------------------------------------------------------------

    async def _on_look(self, event: GenericEventArguments) -> None:
        self._send(**await asyncio.to_thread(self._view_memory), status=view_status(self._models.status))
        if event.args:
            await self._send_models()

    async def _on_load(self, event: GenericEventArguments) -> None:
        model_id = str(event.args["id"])
        options = event.args["options"]
        self._cancelled = None
        try:
            if options is None:
                await self._models.load(model_id)
            else:
                await self._load_with(model_id, ctx=options["ctx"], gpu_layers=options["gpuLayers"])
        except GlasshouseError as error:
            if self._cancelled != model_id:
                self.run_method("showError", model_id, error.message)

    async def _load_with(self, model_id: str, *, ctx: int | None, gpu_layers: int | None) -> None:
        """What is left to Glasshouse is forgotten before, what was chosen is remembered once it has worked."""
        if ctx is None:
            await self._application.preferences.set(ctx=None)
        if gpu_layers is None:
            await self._application.preferences.set(gpu_layers=None)
        await self._models.load(model_id, ctx=ctx, gpu_layers=gpu_layers)

    async def _on_unload(self) -> None:
        model = self._models.status.model
        self._cancelled = model.id if model else None
        await self._models.unload()

    async def _on_remove(self, event: GenericEventArguments) -> None:
        model_id = str(event.args)
        try:
            await self._models.delete(model_id)
        except GlasshouseError as error:
            self.run_method("showError", model_id, error.message)

    async def _on_plan(self, event: GenericEventArguments) -> None:
        model_id = str(event.args["id"])
        try:
            model = await self._application.catalog.find(model_id)
        except GlasshouseError:
            return
        ctx = event.args["ctx"]
        if ctx is None and self._application.preferences.get().ctx is not None:
            ctx = DEFAULT_CONTEXT  # "auto" in place of what is remembered
        plan = await self._fit(model, ctx, event.args["gpuLayers"])
        if plan is None:
            return
        memory = await asyncio.to_thread(self._models.memory)
        text = plan_words(plan, memory)
        self.run_method("showPlan", {"text": text, "isTooBig": isinstance(plan, ModelTooBig)}, event.args)

"""The sheet's tab Fit: what loading would take of each device, as the sliders stand."""

from __future__ import annotations

import time
from typing import Any, get_args

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from webui.config import LARGEST_CONTEXT
from webui.core.application import Application
from webui.core.fitting import FitSheet
from webui.errors import GlasshouseError, format_bytes
from webui.library.fit_plan import DeviceUse, FitPlan
from webui.library.fit_words import warn_of_swapping
from webui.types import KvType
from webui.ui.model_view import format_tokens
from webui.ui.models.part import Json
from webui.ui.models.sheet_part import SheetPart, Shown
from webui.ui.sampling_input import read_count

_FRESH_SECONDS = 15.0


class FitPart(SheetPart):
    """The file's header and the machine's memory are read when the sliders begin to move, then it is sums."""

    def __init__(self, element: Element, application: Application, shown: Shown) -> None:
        super().__init__(element, application, shown)
        self._sheet: FitSheet | None = None
        self._made_at = 0.0
        element.on("plan", self._on_plan)

    def leave(self) -> None:
        self._sheet = None

    async def _on_plan(self, event: GenericEventArguments) -> None:
        model_id = str(event.args["id"])
        try:
            sheet = await self._find_sheet(model_id)
            wish = read_wish(event.args)
            plan = sheet.plan(**wish)
        except GlasshouseError as error:
            self.tell(model_id, error={"place": "fit", "text": error.message})
            return
        limits = view_limits(sheet, plan, wish)
        self.tell(model_id, fit={"limits": limits}, plan=view_plan(plan, limits["numLayers"]))

    async def _find_sheet(self, model_id: str) -> FitSheet:
        """The one that is at hand, unless it is of another model or of a machine as it was a while ago."""
        now = time.monotonic()
        if self._sheet is None or self._sheet.model.id != model_id or now - self._made_at > _FRESH_SECONDS:
            self._sheet, self._made_at = await self._app.fitting.sheet(model_id), now
        return self._sheet


def read_wish(given: Json) -> dict[str, Any]:
    """The sliders as a browser sends them; what is no number or no known type is left to Glasshouse."""
    kv_type = given.get("kvType")
    return {
        "ctx": read_count(given.get("ctx"), at_least=256, at_most=LARGEST_CONTEXT),
        "gpu_layers": read_count(given.get("gpuLayers"), at_least=-1),
        "kv_type": kv_type if kv_type in get_args(KvType) else None,
    }


def view_limits(sheet: FitSheet, plan: FitPlan, wish: Json) -> Json:
    return {
        "largestContext": sheet.largest_context,
        "fittingContext": sheet.largest_fitting_context(wish["gpu_layers"], wish["kv_type"]),
        "numLayers": sheet.num_layers + 1,  # what turns the last layer's numbers into words counts as one
        "kvTypes": list(sheet.kv_types),
        "hasGpu": len(plan.devices) > 1,
    }


def view_plan(plan: FitPlan, num_layers: int) -> Json:
    options = plan.options
    return {
        "ctx": options.context_tokens,
        "gpuLayers": num_layers if options.gpu_layers < 0 else options.gpu_layers,
        "kvType": options.kv_type,
        "fits": plan.fits,
        "words": plan_sentence(plan),
        "devices": [view_device(device) for device in plan.devices],
    }


def plan_sentence(plan: FitPlan) -> str:
    """The verdict in one sentence."""
    context = f"{format_tokens(plan.options.context_tokens)} tokens of context"
    over = [device for device in plan.devices if not device.fits]
    if over:
        if all(device.weights_bytes > device.usable_bytes for device in over):
            weights, usable = (sum(getattr(each, name) for each in over) for name in ("weights_bytes", "usable_bytes"))
            return (
                f"Too big: its weights alone take {format_bytes(weights)}, and {format_bytes(usable)} can be used. "
                "Take a smaller quantization, or a smaller model."
            )
        missing = sum(device.needed_bytes - device.usable_bytes for device in over)
        return f"Too big by {format_bytes(missing)} with {context}. Choose less context, or a smaller type for it."
    on_gpu = sum(device.num_layers for device in plan.devices[1:])
    layers = sum(device.num_layers for device in plan.devices)
    where = ""
    if len(plan.devices) > 1 and layers:
        where = " and all layers on the GPU" if on_gpu == layers else f" and {on_gpu} of {layers} layers on the GPU"
    return " ".join(filter(None, (f"It fits with {context}{where}.", warn_of_swapping(plan))))


def view_device(device: DeviceUse) -> Json:
    return {
        "name": device.name,
        "total": device.total_bytes,
        "free": device.free_bytes,
        "usable": device.usable_bytes,
        "weights": device.weights_bytes,
        "kv": device.kv_bytes,
        "compute": device.compute_bytes,
        "other": device.other_bytes,
        "layers": device.num_layers,
        "fits": device.fits,
    }

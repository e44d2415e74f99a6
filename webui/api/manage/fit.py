"""What a model would take of each device, for any context, number of GPU layers and KV type: the page's sliders as a
route. Nothing is loaded."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from webui.api.dependencies import App
from webui.config import LARGEST_CONTEXT
from webui.library.fit_plan import DeviceUse
from webui.library.fit_words import warn_of_swapping
from webui.types import KvLayout, KvType

router = APIRouter(prefix="/manage", tags=["Models"])


class DeviceBar(BaseModel):
    """The RAM or a GPU; bytes, for the worst case: every answer as long as it can get."""

    name: str
    total_bytes: int
    free_bytes: int = Field(description="Now, or once the model before it is gone")
    usable_bytes: int = Field(description="Without what is kept for others")
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    other_bytes: int
    needed_bytes: int
    layers: int
    fits: bool


class Plan(BaseModel):
    """How the model would be loaded, and what it would take."""

    fits: bool
    warning: str | None = Field(description="It fits, and the machine may begin to swap")
    context_tokens: int
    gpu_layers: int = Field(description="-1: all of them")
    kv_type: KvType
    kv_layout: KvLayout
    slots: int = Field(description="Answers side by side")
    devices: list[DeviceBar] = Field(description="The RAM first, then every GPU")
    largest_context: int = Field(description="The model's own")
    largest_fitting_context: int = Field(description="With these layers and this KV type; 0: none")
    kv_types: list[KvType] = Field(description="Those that its attention heads can have")


@router.get("/models/{model_id}/fit", summary="What a model would take")
async def get_fit(
    model_id: str,
    application: App,
    ctx: Annotated[int | None, Query(ge=256, le=LARGEST_CONTEXT)] = None,
    gpu_layers: Annotated[int | None, Query(ge=-1, le=2**31 - 1)] = None,
    kv_type: KvType | None = None,
) -> Plan:
    """What is left out is chosen as loading would; a KV type that the model's heads cannot have becomes f16."""
    sheet = await application.fitting.sheet(model_id)
    plan = sheet.plan(ctx, gpu_layers, kv_type)
    options = plan.options
    return Plan(
        fits=plan.fits,
        warning=warn_of_swapping(plan),
        context_tokens=options.context_tokens,
        gpu_layers=options.gpu_layers,
        kv_type=options.kv_type,
        kv_layout=options.kv_layout,
        slots=options.num_slots,
        devices=[_bar(device) for device in plan.devices],
        largest_context=sheet.largest_context,
        largest_fitting_context=sheet.largest_fitting_context(gpu_layers, kv_type),
        kv_types=list(sheet.kv_types),
    )


def _bar(device: DeviceUse) -> DeviceBar:
    return DeviceBar(
        name=device.name,
        total_bytes=device.total_bytes,
        free_bytes=device.free_bytes,
        usable_bytes=device.usable_bytes,
        weights_bytes=device.weights_bytes,
        kv_bytes=device.kv_bytes,
        compute_bytes=device.compute_bytes,
        other_bytes=device.other_bytes,
        needed_bytes=device.needed_bytes,
        layers=device.num_layers,
        fits=device.fits,
    )

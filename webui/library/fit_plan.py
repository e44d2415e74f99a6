"""The values of planning: how an engine is wanted, and what loading a model so would take of each device.

Values only; `memory_fit` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from webui.library.gguf import GgufHeader
from webui.types import EngineOptions, FlashAttention, KvLayout, KvType


@dataclass(frozen=True, slots=True)
class Wishes:
    """How an engine is wanted; None and "auto" mean that the machine decides."""

    ctx: int | None = None
    slots: int = 8  #: the most
    threads: int = 1
    gpu_layers: int | None = None
    kv_layout: KvLayout | Literal["auto"] = "auto"
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    parked_bytes: int | None = None
    draft: GgufHeader | None = None  #: of a small model that guesses ahead
    projector_bytes: int = 0  #: of what it sees through; it goes where layers go first


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """One bar of the plan: the RAM or a GPU, and what the model would take of it. `free_bytes` is what is free now, or
    will be once the models that make room are gone."""

    name: str  #: "RAM", or the GPU's name
    total_bytes: int
    free_bytes: int
    weights_bytes: int = 0
    kv_bytes: int = 0
    compute_bytes: int = 0
    other_bytes: int = 0  #: the engine's process, a GPU's runtime, a draft model, a projector
    num_layers: int = 0  #: layers that are computed there
    reserved_bytes: int = 0  #: of what is free, kept for everybody else on the machine

    @property
    def needed_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.other_bytes

    @property
    def usable_bytes(self) -> int:
        return max(0, self.free_bytes - self.reserved_bytes)

    @property
    def fits(self) -> bool:
        return self.needed_bytes <= self.usable_bytes or not self.needed_bytes


@dataclass(frozen=True, slots=True)
class FitPlan:
    """`options` to start the engine with, and where its bytes go when every slot is full. The sums of RAM and VRAM hold
    everything but parked states, which get a part of what is left."""

    options: EngineOptions
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    ram_needed: int
    vram_needed: int
    devices: tuple[DeviceUse, ...] = ()  #: RAM first, then every GPU

    @property
    def fits(self) -> bool:
        return all(device.fits for device in self.devices)

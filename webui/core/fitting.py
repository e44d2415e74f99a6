"""What loading a model would take, for every position of the page's sliders.

A sheet is made once for a model: the header is read and the machine is asked; after that each plan is a sum that takes
a millisecond or two. It plans as loading does, with the same wishes, and loads nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from webui.config import Settings
from webui.core.neighbours import Neighbours, memory_beside
from webui.core.planning import Needs, Target, read_needs
from webui.library.embedding_fit import sketch_embedding_fit
from webui.library.fit_plan import FitPlan
from webui.library.hardware import has_gpu_backend, read_memory
from webui.library.memory_fit import sketch_fit, usable_kv_types
from webui.types import KvType, Memory, ModelFile

CONTEXT_STEP = 1024  #: of the context slider
LARGEST_UNTRAINED_CONTEXT = 131_072  #: offered where the file does not say what it was trained for


@dataclass(frozen=True, slots=True)
class FitSheet:
    """One model on this machine as it was when the sheet was made: its page's model gone, all others staying."""

    needs: Needs
    memory: Memory
    can_offload: bool

    @property
    def model(self) -> ModelFile:
        return self.needs.target.model

    @property
    def largest_context(self) -> int:
        return self.needs.header.context_train or LARGEST_UNTRAINED_CONTEXT

    @property
    def num_layers(self) -> int:
        """Of the model; for a GPU one more counts, which turns the last one's numbers into words."""
        return self.needs.header.num_layers

    @property
    def kv_types(self) -> tuple[KvType, ...]:
        """Those that the model's attention heads can have; smaller ones need flash attention."""
        if not self.needs.is_chat or self.needs.wishes.flash_attention == "off":
            return ("f16",)
        return usable_kv_types(self.needs.header)

    def plan(self, ctx: int | None = None, gpu_layers: int | None = None, kv_type: KvType | None = None) -> FitPlan:
        """What loading it so would take; look at `fits`. None: as it would be loaded without being asked for."""
        usual = self.needs.wishes
        wanted = usual.kv_type if kv_type is None else kv_type
        wishes = replace(
            usual,
            ctx=usual.ctx if ctx is None else ctx,
            gpu_layers=usual.gpu_layers if gpu_layers is None else gpu_layers,
            kv_type=wanted if wanted in self.kv_types else "f16",
        )
        if self.needs.is_chat:
            header, name = self.needs.header, self.model.name
            return sketch_fit(header, name, self.memory, wishes, can_offload=self.can_offload)
        return sketch_embedding_fit(
            self.needs.header,
            self.memory,
            threads=wishes.threads,
            gpu_layers=wishes.gpu_layers,
            ctx=ctx,
            can_offload=self.can_offload,
        )

    def largest_fitting_context(self, gpu_layers: int | None = None, kv_type: KvType | None = None) -> int:
        """The largest multiple of CONTEXT_STEP (or the trained context) that fits; 0 when none does."""
        low, high = 0, -(-self.largest_context // CONTEXT_STEP)
        while low < high:
            middle = (low + high + 1) // 2
            if self.plan(min(middle * CONTEXT_STEP, self.largest_context), gpu_layers, kv_type).fits:
                low = middle
            else:
                high = middle - 1
        return min(low * CONTEXT_STEP, self.largest_context)


class Fitting:
    """Makes sheets. `find` says how a model would be loaded, `neighbours` who is in memory meanwhile, `measure` what
    the machine has."""

    def __init__(
        self,
        settings: Settings,
        find: Callable[[str], Awaitable[Target]],
        neighbours: Callable[[], Neighbours],
        measure: Callable[[], Memory] | None = None,
    ) -> None:
        self._settings = settings
        self._find = find
        self._neighbours = neighbours
        self._measure = measure

    async def sheet(self, model_id: str) -> FitSheet:
        """Raises UnknownModel, or what is wrong with the file."""
        target = await self._find(model_id)
        return await asyncio.to_thread(self._make, target, self._neighbours())

    def _make(self, target: Target, neighbours: Neighbours) -> FitSheet:
        needs = read_needs(self._settings, target)
        return FitSheet(needs, memory_beside((self._measure or read_memory)(), neighbours), has_gpu_backend())

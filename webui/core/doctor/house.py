"""What the doctor asks of the rest of the house: who uses the models, how much memory they have, and to make room."""

from __future__ import annotations

from typing import Protocol

from webui.core.model_manager import ModelManager
from webui.core.neighbours import Neighbours


class House(Protocol):
    """The models that people use."""

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being written, waits, or a model is being loaded."""

    @property
    def loaded_names(self) -> tuple[str, ...]:
        """Of the models in memory, as people call them."""

    @property
    def neighbours(self) -> Neighbours:
        """The engines in memory, all of them staying."""

    async def unload(self) -> None:
        """Let all of them go."""


class ModelHouse:
    """The models of a `ModelManager`."""

    def __init__(self, models: ModelManager) -> None:
        self._models = models

    @property
    def is_busy(self) -> bool:
        return any(live.num_users or live.status.state == "starting" for live in self._models.pool.alive)

    @property
    def loaded_names(self) -> tuple[str, ...]:
        return tuple(live.target.model.name for live in self._models.pool.alive)

    @property
    def neighbours(self) -> Neighbours:
        return Neighbours(staying=tuple(live.footprint for live in self._models.pool.alive))

    async def unload(self) -> None:
        await self._models.unload_all()

"""The engines of one examination: started with the options that are asked for, a few kept for the next turn.

Trials alternate between two engines. Where memory allows both stay; elsewhere the one that was used longest ago makes
room, and turns cost a load. It does not know what they are used for.
"""

from __future__ import annotations

from collections import OrderedDict

from webui.core.doctor.engine import DoctorEngine, DoctorEngineFactory
from webui.core.doctor.limits import Budget
from webui.types import EngineInfo, EngineOptions, ModelFile


class EngineShelf:
    """`await shelf.get(options)`; `close` stops all of them."""

    def __init__(
        self, create_engine: DoctorEngineFactory, model: ModelFile, budget: Budget, *, capacity: int = 1
    ) -> None:
        """`capacity`: how many may run side by side."""
        self.capacity = capacity
        self.load_seconds = 0.0  #: of the last start
        self._create_engine = create_engine
        self._model = model
        self._budget = budget
        self._engines: OrderedDict[EngineOptions, tuple[DoctorEngine, EngineInfo]] = OrderedDict()

    async def get(self, options: EngineOptions) -> DoctorEngine:
        """The running engine with these options. Raises what starting raises."""
        return (await self.get_with_info(options))[0]

    async def get_with_info(self, options: EngineOptions) -> tuple[DoctorEngine, EngineInfo]:
        found = self._engines.get(options)
        if found is None:
            while len(self._engines) >= self.capacity:
                _, (oldest, _) = self._engines.popitem(last=False)
                await oldest.stop()
            found = self._engines[options] = await self._start(options)
        self._engines.move_to_end(options)
        return found

    async def drop(self, options: EngineOptions) -> None:
        """Stop one that is not needed any more."""
        if (found := self._engines.pop(options, None)) is not None:
            await found[0].stop()

    async def close(self) -> None:
        while self._engines:
            _, (engine, _) = self._engines.popitem()
            await engine.stop()

    async def _start(self, options: EngineOptions) -> tuple[DoctorEngine, EngineInfo]:
        began_at = self._budget.now()
        engine = self._create_engine()
        try:
            info = await engine.start(self._model, options)
        except BaseException:
            await engine.stop()
            raise
        finally:
            self.load_seconds = self._budget.now() - began_at
        return engine, info

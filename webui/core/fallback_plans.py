"""What happens when a load fails although its plan should have fitted: smaller plans, one after the other, then none.

Each step is told in the model's status while it is tried, and what came of it is kept there as a note. It does not know
how plans get smaller: that is `library/fit_ladder`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from webui.core.live_model import LiveModel
from webui.core.planning import Target
from webui.errors import LoadFailed, OutOfMemory
from webui.library.fit_ladder import FitStep
from webui.library.memory_fit import FitPlan

_log = logging.getLogger(__name__)

Ladder = Callable[[Target, FitPlan], Sequence[FitStep]]  #: reads the file's header: for a thread


def no_ladder(_target: Target, _failed: FitPlan) -> Sequence[FitStep]:
    """For planners whose plans nobody knows how to make smaller."""
    return ()


async def walk_down(live: LiveModel, plan: FitPlan, ladder: Ladder) -> None:
    """Start the model with its plan, or with the first smaller one that works.

    Raises why the first one failed when none does. A file that is damaged is not tried again: a smaller plan helps
    where memory ran out, and where a GPU would not do what it was asked.
    """
    try:
        await live.start(plan)
        return
    except (OutOfMemory, LoadFailed) as error:
        if isinstance(error, LoadFailed) and not plan.options.gpu_layers:
            raise
        first = error
    for step in await asyncio.to_thread(ladder, live.target, plan):
        _log.warning("%s Trying again %s.", first, step.words)
        live.note(note=f"Trying again {step.words}", progress=0.0)
        try:
            await live.start(step.plan, note=f"It did not load as planned, and runs {step.words}")
            return
        except (OutOfMemory, LoadFailed):
            continue
    raise first

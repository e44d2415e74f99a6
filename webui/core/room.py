"""Who makes room for a model that does not fit beside the others.

As few as possible go, the least recently used first, and idle ones before busy ones. It stops nobody and asks only the
planner, which says what fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from webui.core.live_model import LiveModel
from webui.core.neighbours import Neighbours
from webui.errors import ModelTooBig
from webui.library.memory_fit import FitPlan

PlanBeside = Callable[[Neighbours], FitPlan]


@dataclass(frozen=True, slots=True)
class Room:
    """A plan, and the models that it wants gone."""

    plan: FitPlan
    leaving: tuple[LiveModel, ...]


def find_room(
    plan: PlanBeside, must_go: Sequence[LiveModel], idle: Sequence[LiveModel], busy: Sequence[LiveModel]
) -> Room:
    """`must_go` leave in any case; `idle` and `busy` are the others that are alive, in the order in which they may go.

    An idle model gives up its graphics memory to a newcomer that would have to do with less of it, too. Raises
    ModelTooBig when it would not fit on its own, and what else the planner raises. It reads files: for a thread.
    """
    search = _Search(plan, [*must_go, *idle, *busy])
    leaving = list(must_go)
    waiting = [*idle, *busy]
    while True:
        try:
            best = search.plan_without(leaving)
            break
        except ModelTooBig:
            if not waiting:
                raise
            leaving.append(waiting.pop(0))
    without_idle = [*must_go, *idle]
    if _wants_gpu(best) and len(without_idle) > len(leaving):
        richer = search.plan_without(without_idle)
        if _num_offloaded(richer) > _num_offloaded(best):
            best, leaving = richer, without_idle
    for each in leaving[len(must_go) :]:  # not all of them may have been in the way
        fewer = [other for other in leaving if other is not each]
        spared = search.try_without(fewer)
        if spared is not None and _num_offloaded(spared) >= _num_offloaded(best):
            best, leaving = spared, fewer
    return Room(best, tuple(leaving))


class _Search:
    """Plans in the company of those who stay; each company is asked for once."""

    def __init__(self, plan: PlanBeside, alive: Sequence[LiveModel]) -> None:
        self._plan = plan
        self._footprints = [(each, each.footprint) for each in alive]
        self._known: dict[frozenset[int], FitPlan | ModelTooBig] = {}

    def plan_without(self, leaving: Sequence[LiveModel]) -> FitPlan:
        found = self._find(leaving)
        if isinstance(found, ModelTooBig):
            raise found
        return found

    def try_without(self, leaving: Sequence[LiveModel]) -> FitPlan | None:
        found = self._find(leaving)
        return None if isinstance(found, ModelTooBig) else found

    def _find(self, leaving: Sequence[LiveModel]) -> FitPlan | ModelTooBig:
        key = frozenset(id(each) for each in leaving)
        if key not in self._known:
            neighbours = Neighbours(
                leaving=tuple(footprint for each, footprint in self._footprints if id(each) in key),
                staying=tuple(footprint for each, footprint in self._footprints if id(each) not in key),
            )
            try:
                self._known[key] = self._plan(neighbours)
            except ModelTooBig as error:
                self._known[key] = error
        return self._known[key]


def _num_offloaded(plan: FitPlan) -> float:
    return float("inf") if plan.options.gpu_layers < 0 else plan.options.gpu_layers


def _wants_gpu(plan: FitPlan) -> bool:
    """Whether more graphics memory would help at all. Without a GPU there is none to give."""
    return plan.options.gpu_layers >= 0 and any(device.name != "RAM" for device in plan.devices)

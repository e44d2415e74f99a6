"""Requests for vectors or scores on their way: which input is computed next, and what has come of the others.

A batch takes inputs of several requests, each time from the flow (an owner in a priority class) that was served least,
and within it from the request that was.
An input is turned into tokens only when its turn is near, so that a request of thousands keeps nobody waiting. It knows
token counts; models and pipes it does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webui.engine.fairness import FairShare, Flow
from webui.engine.protocol import Embed, Rerank
from webui.types import Priority

MAX_JOBS = 256  #: open requests; whoever comes then is told to come later


class Job:
    """One open Embed or Rerank. `tokenize(index)` gives an input's tokens or raises what is wrong with it."""

    def __init__(self, command: Embed | Rerank, num_inputs: int, tokenize: Callable[[int], list[int]]) -> None:
        self.command = command
        self.flow: Flow = (command.request.owner, command.request.priority)
        self.results: list[bytes | float | None] = [None] * num_inputs
        self.num_tokens = 0  #: of the inputs taken so far
        self._tokenize = tokenize
        self._next = 0
        self._num_done = 0
        self._peeked: list[int] | None = None

    @property
    def is_idle(self) -> bool:
        """Nobody waits for it."""
        return self.flow[1] is Priority.IDLE

    @property
    def has_more(self) -> bool:
        """Whether some input is in no batch yet."""
        return self._next < len(self.results)

    @property
    def is_complete(self) -> bool:
        return self._num_done == len(self.results)

    def peek(self) -> list[int]:
        """The tokens of the next input."""
        if self._peeked is None:
            self._peeked = self._tokenize(self._next)
        return self._peeked

    def take(self) -> Item:
        """The next input, for a batch."""
        item = Item(self, self._next, self.peek())
        self.num_tokens += len(item.tokens)
        self._next, self._peeked = self._next + 1, None
        return item

    def complete(self, index: int, result: bytes | float) -> None:
        self.results[index] = result
        self._num_done += 1


@dataclass(frozen=True, slots=True)
class Item:
    """One input of a job, in a batch."""

    job: Job
    index: int
    tokens: list[int]


class JobTable:
    """Every open job, by its request's id."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}  # in the order of arrival
        self._fair = FairShare()

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: Job) -> bool:
        return self._jobs.get(job.command.request_id) is job

    @property
    def is_full(self) -> bool:
        return len(self._jobs) >= MAX_JOBS

    def add(self, job: Job) -> None:
        self._jobs[job.command.request_id] = job
        self._fair.join(job.flow)

    def get(self, request_id: int) -> Job | None:
        return self._jobs.get(request_id)

    def remove(self, job: Job) -> None:
        del self._jobs[job.command.request_id]
        self._fair.leave(job.flow)

    def next_job(self) -> Job | None:
        """Whose input comes next; None when every input is in a batch. What nobody waits for comes last. Within a flow
        requests take turns by tokens, too: somebody's search does not wait until all that they index is done."""
        waiting = (job for job in self._jobs.values() if job.has_more)
        return min(waiting, key=lambda job: (job.is_idle, self._fair.served(job.flow), job.num_tokens), default=None)

    def take(self, job: Job) -> Item:
        """The next input of `job`, on its flow's account."""
        item = job.take()
        self._fair.charge({job.flow: len(item.tokens)})
        return item

"""Comparing quantizations on the person's own text: what is asked becomes a job of the workbench.

It looks models up, sees that each fits into memory alone, and takes the text from the request or from the chats that
are kept here. The figures are on the job when it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from webui.core.neighbours import Neighbours
from webui.core.planning import Planner, Target
from webui.core.work_job import WorkJob
from webui.core.workbench import Workbench
from webui.errors import InvalidRequest
from webui.library.hardware import count_physical_cores
from webui.store.conversations import ConversationStore
from webui.types import ModelFile
from webui.workbench.protocol import Compare, CompareModel

MOST_MODELS = 8
MOST_CHARACTERS = 1_000_000
CONTEXT_TOKENS = 512
MOST_CHUNKS = 64
_KEEP_FREE_BYTES = 1 << 30  #: of the disk that the scratch file is on


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is to be compared: the first model is the one that the others are measured against. Without a text the
    newest chats are taken."""

    models: tuple[str, ...]
    text: str | None = None
    chunks: int = 16  #: at most, of CONTEXT_TOKENS tokens


class Comparing:
    """`await comparing.start(Comparison(models=("big", "small")))` gives a job."""

    def __init__(
        self,
        find_model: Callable[[str], Awaitable[ModelFile]],
        planner: Planner,
        neighbours: Callable[[], Neighbours],
        workbench: Workbench,
        conversations: ConversationStore,
        *,
        scratch_dir: Path,
    ) -> None:
        self._find = find_model
        self._plan = planner
        self._neighbours = neighbours
        self._workbench = workbench
        self._conversations = conversations
        self._scratch_dir = scratch_dir

    async def start(self, comparison: Comparison) -> WorkJob:
        """Raises InvalidRequest, UnknownModel, ModelTooBig, or what is wrong with a file; the rest comes with the
        job."""
        if not 2 <= len(comparison.models) <= MOST_MODELS:
            raise InvalidRequest(f"Name two to {MOST_MODELS} models: the first is what the others are compared with.")
        text = await self._chats() if comparison.text is None else comparison.text[:MOST_CHARACTERS]
        models = [await self._find(name) for name in comparison.models]
        compared = await asyncio.to_thread(self._prepare, models)
        request = Compare(
            models=tuple(compared),
            text=text,
            scratch_dir=str(self._scratch_dir),
            context_tokens=CONTEXT_TOKENS,
            max_chunks=min(comparison.chunks, MOST_CHUNKS),
            threads=count_physical_cores(),
            keep_free_bytes=_KEEP_FREE_BYTES,
        )
        title = f"{models[0].name} compared with {len(models) - 1} {'other' if len(models) == 2 else 'others'}"
        return self._workbench.enqueue(request, title=title, model_id=models[0].id)

    def _prepare(self, models: Sequence[ModelFile]) -> list[CompareModel]:
        """Each must fit alone: they are loaded one after the other. Reads headers, so it runs in a thread."""
        neighbours = self._neighbours()
        plans = [self._plan(Target(model, ctx=CONTEXT_TOKENS * 2, slots=1), neighbours) for model in models]
        return [
            CompareModel(path=str(model.path), gpu_layers=plan.options.gpu_layers)
            for model, plan in zip(models, plans, strict=True)
        ]

    async def _chats(self) -> str:
        """The newest chats, one below the other."""
        pieces: list[str] = []
        size = 0
        for conversation in await self._conversations.list():
            messages = await self._conversations.path(conversation.id)
            pieces += [message.content for message in messages if message.content]
            size += sum(len(message.content) for message in messages)
            if size > MOST_CHARACTERS:
                break
        if not pieces:
            raise InvalidRequest("There are no chats here to compare the models on. Give a text.")
        return "\n\n".join(pieces)[:MOST_CHARACTERS]

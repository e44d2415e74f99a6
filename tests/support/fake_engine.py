"""An engine without a process or a model: it answers with numbered words and says how many answers run.

What the last user message says steers it: "fail" dies after two words, "long" goes on until it is cancelled, "think"
thinks first, "call" calls a tool, "too long" is refused as too long, "busy" because too many wait, "cannot think"
because the model does not, and "outgrown" leaves out two messages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable

from webui.core.engine import OnEnd
from webui.engine.protocol import (
    CountPrompt,
    Detokenize,
    Detokenized,
    Finding,
    ListSlots,
    PromptCount,
    Render,
    Rendered,
    ShownPrompt,
    ShowPrompt,
    SlotInfo,
    SlotList,
    Tokenize,
    Tokenized,
    TokenizedText,
)
from webui.errors import CannotThink, ContextTooLong, EngineBusy, EngineDied
from webui.types import (
    ContextTrimmed,
    EngineInfo,
    EngineLoad,
    EngineOptions,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    ModelFile,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    Timings,
    ToolCallDelta,
    Usage,
)


class FakeEngine:
    """Stands in for EngineClient. `asked` keeps what every generation was asked."""

    asked: list[GenerationRequest]

    def __init__(
        self,
        *,
        on_load_progress: Callable[[float], None],
        on_engine_load: Callable[[EngineLoad], None],
        on_exit: Callable[[EngineDied | None], None],
    ) -> None:
        self.pid: int | None = None
        self.memory_bytes = 0
        self.asked = []
        self._num_running = 0
        self._on_load_progress = on_load_progress
        self.report_load = on_engine_load
        self._on_exit = on_exit

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo:
        self.pid, self.memory_bytes = 4711, 118_000_000
        self._on_load_progress(1.0)
        return EngineInfo(
            description="a fake", num_parameters=model.num_parameters, context_train=model.context_train,
            options=options, device="CPU", has_chat_template=True,
        )  # fmt: skip

    async def generate(
        self,
        request: GenerationRequest,
        *,
        stop: asyncio.Event | None = None,
        on_end: OnEnd | None = None,
    ) -> AsyncGenerator[GenerationEvent, None]:
        self.asked.append(request)
        wish = request.messages[-1].content if request.messages else str(request.prompt or request.gap)
        sampling = request.sampling
        if wish == "busy":
            raise EngineBusy(retry_after=12.0)
        if wish == "outgrown":
            yield ContextTrimmed(num_messages=2)
        if wish == "too long":
            raise ContextTooLong(prompt_tokens=9000, context_tokens=2048)
        if wish == "cannot think":
            raise CannotThink
        self._count(+1)
        try:
            yield PromptProgress(done=7, total=7)
            if wish == "think":
                yield ReasoningDelta(text="hm")
            if wish == "call":
                yield ToolCallDelta(index=0, id="call_1", name="weather", arguments='{"city": ')
                if sampling.max_tokens != 1:
                    yield ToolCallDelta(index=0, arguments='"Oslo"}')
            num_words = 10**9 if wish == "long" else min(sampling.max_tokens or 4, 4)
            for index in range(num_words):
                if wish == "fail" and index == 2:
                    raise EngineDied("killed")
                await asyncio.sleep(0)
                if stop is not None and stop.is_set():
                    break
                yield TextDelta(text=f"word{index} ")
            usage = Usage(
                prompt_tokens=7, cached_tokens=3, completion_tokens=num_words, reasoning_tokens=2 * (wish == "think")
            )
            if on_end is not None:
                on_end(usage)
            yield Finished(
                reason=_reason(wish, is_cut=sampling.max_tokens == num_words),
                usage=usage,
                timings=Timings(
                    queued_seconds=0.0, first_token_seconds=0.01, total_seconds=0.02, tokens_per_second=100.0
                ),
            )
        finally:
            self._count(-1)

    async def prefill(
        self, request: GenerationRequest, *, stop: asyncio.Event | None = None
    ) -> AsyncGenerator[GenerationEvent, None]:
        usage = Usage(prompt_tokens=7, cached_tokens=0, completion_tokens=0)
        timings = Timings(queued_seconds=0.0, first_token_seconds=0.0, total_seconds=0.01, tokens_per_second=0.0)
        yield PromptProgress(done=7, total=7)
        yield Finished(reason="stop", usage=usage, timings=timings)

    async def probe(self, asked: Tokenize | Detokenize | Render | CountPrompt | ShowPrompt | ListSlots) -> Finding:
        """Counts seven tokens, as its answers say; characters are its tokens, and its template is a line a message."""
        match asked:
            case Tokenize(texts=texts):
                found = [(text, tuple(map(ord, text))) for text in texts]
                return Tokenized(
                    texts=tuple(
                        TokenizedText(num_tokens=len(tokens), text=text.encode(), tokens=tokens)
                        for text, tokens in found
                    )
                )
            case Detokenize(tokens=tokens):
                return Detokenized(pieces=tuple(chr(token % 0xD800).encode() for token in tokens))
            case Render(messages=messages):
                lines = [f"{each.get('role')}: {each.get('content')}" for each in json.loads(messages)]
                return Rendered(text="\n".join(lines)) if lines else Rendered(text=None, refusal="There is nothing.")
            case CountPrompt():
                return PromptCount(num_tokens=7)
            case ShowPrompt(request=request):
                lines = [f"<{each.role}>{each.content}" for each in request.messages]
                return ShownPrompt(text=str(request.prompt or "".join(lines)), num_tokens=7)
            case ListSlots():
                busy = SlotInfo(id=0, num_tokens=9, is_processing=True, num_prompt_tokens=7, num_decoded_tokens=2)
                first = busy if self._num_running else SlotInfo(id=0, num_tokens=9)
                return SlotList(slots=(first, SlotInfo(id=1, num_tokens=0)))

    def forget(self, conversation: str) -> None:
        """Nothing is kept."""

    async def stop(self) -> None:
        self.pid, self.memory_bytes = None, 0
        self._on_exit(None)

    def _count(self, change: int) -> None:
        self._num_running += change
        self.report_load(EngineLoad(num_running=self._num_running))


def _reason(wish: str, *, is_cut: bool) -> FinishReason:
    if wish == "call" and not is_cut:
        return "tool_calls"
    return "length" if is_cut else "stop"

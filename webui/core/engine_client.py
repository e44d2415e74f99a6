"""The parent's side of one engine process: start it, talk to it, notice its death, stop it.

One reader task takes reports from the child and hands them to the request they belong to; another drains stderr, whose
last lines hold the reason when a load fails. Generations run side by side, kept apart by id. It knows nothing of which
model should run or when: that is `model_manager`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import cast

import psutil

from webui.core.engine import OnEnd
from webui.core.engine_death import explain_death, explain_failed_start
from webui.core.engine_inbox import Inbox
from webui.core.line_tail import LineTail
from webui.core.request_handle import RequestHandle
from webui.engine.protocol import (
    Cancel,
    Command,
    CountPrompt,
    Detokenize,
    Embed,
    Embedded,
    Failed,
    Finding,
    Forget,
    Generate,
    Happened,
    ListSlots,
    Load,
    Loaded,
    LoadFailed,
    LoadProgress,
    LoadReport,
    Prefill,
    Probe,
    Probed,
    Render,
    Report,
    ReportReader,
    Rerank,
    Reranked,
    Score,
    ShowPrompt,
    Shutdown,
    Tokenize,
    encode_frame,
)
from webui.errors import EngineDied, EngineStopped, GlasshouseError, InvalidRequest
from webui.types import (
    EmbeddingRequest,
    Embeddings,
    EngineInfo,
    EngineLoad,
    EngineOptions,
    Finished,
    GenerationEvent,
    GenerationRequest,
    ModelFile,
    Ranking,
    RerankRequest,
)

logger = logging.getLogger(__name__)

ENGINE_COMMAND = (sys.executable, "-m", "webui.engine")
LOW_PRIORITY_COMMAND = (*ENGINE_COMMAND, "--low-priority")
_READ_BYTES = 65536
_Reply = Embeddings | Ranking | Finding  #: what is told once
_STOP_SECONDS = 2.0  #: for each of: Shutdown, terminate, kill


def _ignore(_value: object) -> None:
    """The listener of those who do not listen."""


# libgomp's threads spin while they wait for each other: for so long that beside a busy program single steps last
# seconds. Not spinning at all costs two thirds of the speed of a small model; a short spin has neither fault. Measured
# with SmolLM2 on two cores: 300 turns 129 tokens/s alone, 10,000 turns 138, both 121-131 beside a busy program.
# Python's small objects on the C library's heap: see engine/lazy_memory.
ENGINE_ENVIRONMENT = {"GOMP_SPINCOUNT": "10000", "PYTHONMALLOC": "malloc"}


class EngineClient:
    """One engine process, from `start` to `stop` or its death. A client starts once; a new engine is a new client.

    `on_exit` is called once when a loaded engine has ended: with None after `stop`, with the reason otherwise. A start
    that fails raises instead.
    """

    def __init__(
        self,
        *,
        on_load_progress: Callable[[float], None] = _ignore,
        on_engine_load: Callable[[EngineLoad], None] = _ignore,
        on_exit: Callable[[EngineDied | None], None] = _ignore,
        command: Sequence[str] | None = None,
    ) -> None:
        self._on_load_progress = on_load_progress
        self._on_engine_load = on_engine_load
        self._on_exit = on_exit
        self._command = tuple(command or ENGINE_COMMAND)
        self._process: asyncio.subprocess.Process | None = None
        self._loaded: asyncio.Future[EngineInfo] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._inboxes: dict[int, Inbox] = {}
        self._left: dict[int, OnEnd] = {}
        self._replies: dict[int, asyncio.Future[_Reply]] = {}
        self._last_id = 0
        self._is_stopping = False
        self._end: GlasshouseError | None = None  #: why nothing can be asked of it any more
        self._stderr = LineTail(logger)

    @property
    def pid(self) -> int | None:
        """The process id while the process lives."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the process; 0 when it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid else 0
        except psutil.Error:
            return 0

    # --- starting and stopping -------------------------------------------------------------------------------------

    async def start(self, model: ModelFile, options: EngineOptions) -> EngineInfo:
        """Start the process and load the model. Raises LoadFailed, OutOfMemory or EngineStopped; then nothing runs."""
        self._loaded = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=ENGINE_ENVIRONMENT | os.environ,
            start_new_session=True,  # Ctrl-C in the terminal is for this process, which stops the engine in order
        )
        self._runner = asyncio.create_task(self._attend(self._process, model.name), name=f"engine {self._process.pid}")
        try:
            await self._send(Load(model_path=str(model.path), model_name=model.name, options=options))
            return await asyncio.shield(self._loaded)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the process, however long it takes to be convinced; open requests end with EngineStopped."""
        process, runner = self._process, self._runner
        if process is None or runner is None:
            return
        self._is_stopping = True
        self._close_requests(EngineStopped())
        for ask in (self._ask_to_exit, process.terminate, process.kill):
            if process.returncode is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                ask()
            await asyncio.wait([runner], timeout=_STOP_SECONDS)
        await asyncio.wait([runner])

    def _ask_to_exit(self) -> None:
        stdin = self._process.stdin if self._process else None
        if stdin is not None and not stdin.is_closing():
            stdin.write(encode_frame(Shutdown()))
            stdin.close()

    # --- generating ------------------------------------------------------------------------------------------------

    def generate(
        self,
        request: GenerationRequest,
        *,
        stop: asyncio.Event | None = None,
        handle: RequestHandle | None = None,
        on_end: OnEnd | None = None,
    ) -> AsyncGenerator[GenerationEvent, None]:
        """The events of one answer, ending with Finished. Closing the generator cancels the request in the engine;
        setting `stop` does so too, and the answer then ends with Finished("cancelled").

        Raises what the engine refused with (ContextTooLong, EngineBusy, ...), EngineDied or EngineStopped. Use it
        inside `async with aclosing(...)`. A reader that is slow gets its text in larger pieces, never a longer queue.
        `handle` pauses it meanwhile. `on_end` hears once how much was computed, also when nobody reads any more; never
        of a request that failed.
        """
        return self._stream(Generate(request_id=self._next_id(), request=request), stop, handle, on_end)

    def prefill(
        self, request: GenerationRequest, *, stop: asyncio.Event | None = None
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Read a draft ahead while the engine has nothing else to do: PromptProgress, then Finished. Otherwise as
        `generate`."""
        return self._stream(Prefill(request_id=self._next_id(), request=request), stop)

    def forget(self, conversation: str) -> None:
        """Drop everything that the engine keeps of a conversation."""
        if self._end is None:
            self._write(Forget(conversation=conversation))

    async def _stream(
        self,
        command: Generate | Prefill,
        stop: asyncio.Event | None,
        handle: RequestHandle | None = None,
        on_end: OnEnd | None = None,
    ) -> AsyncGenerator[GenerationEvent, None]:
        if self._end is not None:
            raise self._end.with_traceback(None)
        request_id = command.request_id
        inbox = self._inboxes[request_id] = Inbox()
        is_open = True
        canceller = asyncio.create_task(self._cancel_when(stop, request_id)) if stop is not None else None
        try:
            await self._send(command)
            if handle is not None:
                handle.bind(request_id, self._write)
            while is_open:
                event = await inbox.get()
                if isinstance(event, Finished):
                    is_open = False
                    if on_end is not None:
                        on_end(event.usage)
                yield event
        except GlasshouseError:
            is_open = False
            raise
        finally:
            if canceller is not None:
                canceller.cancel()
            if handle is not None:
                handle.release()
            self._inboxes.pop(request_id, None)
            if is_open and self._end is None:
                self._write(Cancel(request_id=request_id))
                if on_end is not None:
                    self._leave(request_id, inbox.unread_end, on_end)

    def _leave(self, request_id: int, end: Finished | None, on_end: OnEnd) -> None:
        """Nobody reads any more; only what was computed is still to be told."""
        if end is not None:
            on_end(end.usage)
        else:
            self._left[request_id] = on_end

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """The vectors of the request's inputs; cancelling the wait cancels it in the engine. Raises as `generate`."""
        return cast("Embeddings", await self._ask(Embed(request_id=self._next_id(), request=request)))

    async def rerank(self, request: RerankRequest) -> Ranking:
        """The scores of the request's documents; as `embed`."""
        return cast("Ranking", await self._ask(Rerank(request_id=self._next_id(), request=request)))

    async def probe(
        self, asked: Tokenize | Detokenize | Render | CountPrompt | ShowPrompt | ListSlots | Score
    ) -> Finding:
        """What a look at the model shows. A `Score` raises EngineBusy while it answers; otherwise as `generate`."""
        return cast("Finding", await self._ask(Probe(request_id=self._next_id(), asked=asked)))

    async def _ask(self, command: Embed | Rerank | Probe) -> _Reply:
        if self._end is not None:
            raise self._end.with_traceback(None)
        reply: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._replies[command.request_id] = reply
        try:
            await self._send(command)
            return await reply
        finally:
            del self._replies[command.request_id]
            if (reply.cancelled() or not reply.done()) and self._end is None:
                self._write(Cancel(request_id=command.request_id))

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    async def _cancel_when(self, stop: asyncio.Event, request_id: int) -> None:
        await stop.wait()
        self._write(Cancel(request_id=request_id))

    # --- the pipe --------------------------------------------------------------------------------------------------

    async def _send(self, command: Command) -> None:
        self._write(command)
        stdin = self._process.stdin if self._process else None
        if stdin is not None:
            with contextlib.suppress(ConnectionError):  # the reader notices the death and says why
                await stdin.drain()

    def _write(self, command: Command) -> None:
        try:
            frame = encode_frame(command)
        except UnicodeEncodeError:
            raise InvalidRequest("The message contains characters that are not text.") from None
        stdin = self._process.stdin if self._process else None
        if stdin is not None and not stdin.is_closing():
            stdin.write(frame)

    async def _attend(self, process: asyncio.subprocess.Process, name: str) -> None:
        """Read reports until the child closes its end, then find out why and tell everybody."""
        assert process.stdout and process.stderr  # noqa: S101 - both are pipes
        draining = asyncio.create_task(self._stderr.drain(process.stderr), name=f"engine {process.pid} stderr")
        try:
            reader = ReportReader()
            while data := await process.stdout.read(_READ_BYTES):
                for report in reader.feed(data):
                    self._take(report)
        except Exception:
            logger.exception("The engine's reports cannot be read; it is stopped")
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), _STOP_SECONDS)
            if process.returncode is None:
                process.kill()
        exit_code = await process.wait()
        await asyncio.wait([draining], timeout=_STOP_SECONDS)
        draining.cancel()
        self._announce_end(exit_code, name)

    def _take(self, report: Report) -> None:
        match report:
            case Happened(request_id=request_id, event=event):
                if inbox := self._inboxes.get(request_id):
                    inbox.put(event)
                elif isinstance(event, Finished) and (on_end := self._left.pop(request_id, None)):
                    on_end(event.usage)
            case Failed(request_id=request_id):
                self._left.pop(request_id, None)
                if inbox := self._inboxes.get(request_id):
                    inbox.fail(report.error)
                self._settle(request_id, report.error)
            case Embedded(request_id=request_id, embeddings=embeddings):
                self._settle(request_id, embeddings)
            case Reranked(request_id=request_id, ranking=ranking):
                self._settle(request_id, ranking)
            case Probed(request_id=request_id, finding=finding):
                self._settle(request_id, finding)
            case LoadReport(load=load):
                self._on_engine_load(load)
            case LoadProgress(fraction=fraction):
                self._on_load_progress(fraction)
            case Loaded(info=info):
                self._settle_start(info)
            case LoadFailed():
                self._settle_start(report.error)

    def _settle(self, request_id: int, outcome: _Reply | GlasshouseError) -> None:
        """The one answer to an Embed, Rerank or Probe, if somebody still waits for it."""
        reply = self._replies.get(request_id)
        if reply is None or reply.done():
            return
        if isinstance(outcome, GlasshouseError):
            reply.set_exception(outcome)
        else:
            reply.set_result(outcome)

    def _settle_start(self, outcome: EngineInfo | GlasshouseError) -> None:
        if self._loaded is None or self._loaded.done():
            return
        if isinstance(outcome, EngineInfo):
            self._loaded.set_result(outcome)
        else:
            self._close_requests(outcome)
            self._loaded.set_exception(outcome)
            self._loaded.exception()  # seen: `start` may have been cancelled meanwhile

    def _announce_end(self, exit_code: int, name: str) -> None:
        has_loaded = self._loaded is not None and self._loaded.done() and self._loaded.exception() is None
        if not has_loaded:
            self._settle_start(
                EngineStopped() if self._is_stopping else explain_failed_start(name, exit_code, self._stderr.lines)
            )
            return
        died = None if self._is_stopping else EngineDied(explain_death(exit_code, self._stderr.lines[-10:]))
        if died is not None:
            logger.error(
                "The engine ended with %s; its last words:\n%s", exit_code, "\n".join(self._stderr.lines[-10:])
            )
        self._close_requests(died or EngineStopped())
        self._on_exit(died)

    def _close_requests(self, reason: GlasshouseError) -> None:
        """Nothing more can be asked; whoever waits is told why."""
        self._end = self._end or reason
        for inbox in self._inboxes.values():
            inbox.fail(self._end)
        for request_id in self._replies:
            self._settle(request_id, self._end)

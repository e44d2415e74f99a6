"""The loop: commands in, one step of the model, events out; until the pipe closes.

Everything here happens in one thread. Between two steps it takes every command that has come, so a cancelled request
is gone before the next step. Every accepted request ends in exactly one Finished or one Failed. It does not know
llama.cpp or the operating system: a runner and a channel are handed to it.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from webui.engine.answer import Answer
from webui.engine.chat_format import ChatFormat
from webui.engine.load_meter import LoadMeter
from webui.engine.pace import Pace
from webui.engine.protocol import (
    Cancel,
    Command,
    Failed,
    Generate,
    Happened,
    Load,
    Loaded,
    LoadFailed,
    LoadProgress,
    LoadReport,
    Report,
    Shutdown,
)
from webui.engine.runner import KvFull, Runner
from webui.engine.scheduler import Chunk, Scheduler
from webui.engine.validation import check_sampling
from webui.errors import ContextTooLong, EngineBusy, GlasshouseError, InvalidRequest
from webui.types import FinishReason, GenerationEvent, PromptProgress, Queued

logger = logging.getLogger(__name__)

_PROGRESS_STEP = 0.01
_NUM_RECENT = 8  #: finished requests from which the waiting time is estimated

LoadModel = Callable[[Load, Callable[[float], None]], Runner]


class Channel(Protocol):
    """The pipe to the parent."""

    def receive(self, timeout: float | None) -> Command | None:
        """The next command; None when there was none within `timeout` seconds (None waits for ever)."""

    def send(self, report: Report) -> None: ...

    def flush(self) -> None: ...


def run_loop(channel: Channel, load_model: LoadModel, clock: Callable[[], float] = time.monotonic) -> bool:
    """Load the model that the first command names, then serve until Shutdown. False when there was nothing to serve."""
    command = channel.receive(None)
    if not isinstance(command, Load):
        return isinstance(command, Shutdown)
    try:
        runner = load_model(command, _ProgressReports(channel))
    except GlasshouseError as error:
        channel.send(LoadFailed(code=error.code, details=error.details))
        channel.flush()
        return False
    EngineLoop(channel, runner, clock).run()
    return True


class _ProgressReports:
    """Passes loading progress on in steps of one percent; 0 and 1 always arrive."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._last = -1.0

    def __call__(self, fraction: float) -> None:
        if fraction - self._last >= _PROGRESS_STEP or (fraction >= 1 and self._last < 1):
            self._last = fraction
            self._channel.send(LoadProgress(fraction=min(1.0, max(0.0, fraction))))
            self._channel.flush()


class EngineLoop:
    """Serves one loaded model."""

    def __init__(self, channel: Channel, runner: Runner, clock: Callable[[], float]) -> None:
        self._channel = channel
        self._runner = runner
        self._clock = clock
        self._answers: dict[int, Answer] = {}
        options, vocabulary = runner.info.options, runner.vocabulary
        self._format = ChatFormat(
            vocabulary.chat_template,
            bos=vocabulary.bos_text,
            eos=vocabulary.eos_text,
            control_texts=vocabulary.control_texts,
        )
        self._scheduler = Scheduler(
            num_slots=options.num_slots,
            kv_tokens=options.kv_tokens,
            context_tokens=options.context_tokens,
            batch_tokens=options.batch_tokens,
            memory=runner,
        )
        self._meter = LoadMeter(options.kv_tokens, clock())
        self._pace = Pace(options.threads)
        self._finished_at: deque[float] = deque(maxlen=_NUM_RECENT)
        self._announced_version = 0

    def run(self) -> None:
        """Serve until Shutdown."""
        info = msgspec.structs.replace(self._runner.info, has_chat_template=self._format.has_template)
        self._channel.send(Loaded(info=info))
        self._channel.flush()
        while self._take_commands():
            if self._scheduler.has_work:
                self._step()
            self._report_load()
            self._channel.flush()

    # --- commands --------------------------------------------------------------------------------------------------

    def _take_commands(self) -> bool:
        """Take all that has come, waiting for the first one when there is nothing else to do; False at Shutdown."""
        timeout = self._idle_timeout()
        while (command := self._channel.receive(timeout)) is not None:
            if isinstance(command, Shutdown):
                return False
            if isinstance(command, Generate):
                self._accept(command)
            elif isinstance(command, Cancel) and (answer := self._answers.get(command.request_id)):
                self._finish(answer, "cancelled")
            timeout = 0
        return True

    def _idle_timeout(self) -> float | None:
        if self._scheduler.has_work:
            return 0
        return None if self._meter.is_settled(0, 0) else self._meter.seconds_left(self._clock())

    def _accept(self, command: Generate) -> None:
        """Queue a request, or answer it with the reason why not."""
        request, arrived_at = command.request, self._clock()
        try:
            if self._scheduler.is_full:
                raise EngineBusy(retry_after=self._estimate_wait(arrived_at))
            check_sampling(request.sampling)
            if not request.messages:
                raise InvalidRequest("There is no message to answer.")
            prompt = self._format.render(request.messages)
            if len(prompt.pieces) > self._scheduler.max_tokens:  # tokenizing that many would keep everybody waiting
                raise ContextTooLong(len(prompt.pieces), self._scheduler.max_tokens)
            tokens = self._runner.vocabulary.tokenize(prompt.pieces)
            sampler = self._runner.create_sampler(request.sampling)
            answer = Answer(command, tokens, sampler, prompt.opened, arrived_at=arrived_at)
            try:
                self._scheduler.add(answer.sequence)
            except ContextTooLong:
                sampler.close()
                raise
        except GlasshouseError as error:
            self._refuse(command, error)
        except Exception:  # one strange request must not end everybody's answers
            logger.exception("A request could not be taken")
            self._refuse(command, InvalidRequest("This conversation could not be read. The engine's log says why."))
        else:
            self._answers[command.request_id] = answer

    def _refuse(self, command: Generate, error: GlasshouseError) -> None:
        self._channel.send(Failed(request_id=command.request_id, code=error.code, details=error.details))

    def _estimate_wait(self, now: float) -> float:
        """Seconds until a place in the queue is free: the mean distance of the last finishes."""
        if not self._finished_at:
            return 10.0
        return float(math.ceil(max(1.0, (now - self._finished_at[0]) / len(self._finished_at))))

    # --- a step ----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        try:
            chunks = self._scheduler.schedule()
            self._announce(chunks)
            started_at = self._clock()
            self._compute(chunks)
        except ContextTooLong as error:
            self._give_up(error)
            return
        self._scheduler.commit(chunks)
        for index, chunk in enumerate(chunks):
            answer = self._answers[chunk.sequence.request_id]
            if chunk.sequence.num_completion_tokens == 0:
                self._tell(answer, _progress(answer))
            if chunk.has_output:
                self._sample(answer, index)
        if chunks:
            self._pace.observe(sum(chunk.count for chunk in chunks), self._clock() - started_at)

    def _sample(self, answer: Answer, index: int) -> None:
        token = self._runner.sample(index, answer.sampler)
        events, reason = answer.take(token, self._runner.vocabulary, self._scheduler.max_tokens, self._clock())
        self._meter.count(1)
        for event in events:
            self._tell(answer, event)
        if reason is not None:
            self._finish(answer, reason)

    def _announce(self, chunks: list[Chunk]) -> None:
        """Before a step: who has come in from the queue, and who moved up in it."""
        now = self._clock()
        for chunk in chunks:
            answer = self._answers[chunk.sequence.request_id]
            answer.admit(now)
            answer.position = 0
        if self._scheduler.queue_version == self._announced_version:
            return
        self._announced_version = self._scheduler.queue_version
        for position, sequence in enumerate(self._scheduler.waiting_order(), start=1):
            answer = self._answers[sequence.request_id]
            if answer.position != position:
                answer.position = position
                self._tell(answer, Queued(position=position))
        self._channel.flush()

    def _compute(self, chunks: list[Chunk]) -> None:
        """Run one batch. llama.cpp may find no place although the account had one: then make room and plan again."""
        while chunks:
            try:
                self._runner.compute(chunks, threads=self._pace.threads)
            except KvFull:
                self._scheduler.shrink(chunks)
                chunks[:] = self._scheduler.schedule()
            else:
                return

    def _give_up(self, error: ContextTooLong) -> None:
        """The only admitted sequence has the whole memory and still does not fit."""
        (answer,) = (answer for answer in self._answers.values() if answer.sequence.slot is not None)
        self._close(answer)
        self._channel.send(Failed(request_id=answer.request_id, code=error.code, details=error.details))

    # --- the end of a request --------------------------------------------------------------------------------------

    def _finish(self, answer: Answer, reason: FinishReason) -> None:
        now = self._clock()
        self._close(answer)
        self._finished_at.append(now)
        for event in answer.finish(reason, now):
            self._tell(answer, event)

    def _close(self, answer: Answer) -> None:
        self._scheduler.remove(answer.sequence)
        answer.sampler.close()
        del self._answers[answer.request_id]

    def _tell(self, answer: Answer, event: GenerationEvent) -> None:
        self._channel.send(Happened(request_id=answer.request_id, event=event))

    def _report_load(self) -> None:
        load = self._meter.report(
            num_running=self._scheduler.num_running,
            num_waiting=self._scheduler.num_waiting,
            kv_used=self._scheduler.kv_used,
            now=self._clock(),
        )
        if load is not None:
            self._channel.send(LoadReport(load=load))


def _progress(answer: Answer) -> PromptProgress:
    sequence = answer.sequence
    return PromptProgress(done=sequence.num_computed_tokens, total=sequence.num_prompt_tokens)

"""The loop: commands in, one step of the model, events out; until Shutdown.

Everything here happens in one thread. Between two steps it takes every command that has come, so a cancelled request
is gone before the next step. Every accepted request ends in exactly one Finished or one Failed. It does not know
llama.cpp or the operating system: a runner and a channel are handed to it.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from webui.engine.answer import Answer, ReadAhead, never_read
from webui.engine.channel import Channel
from webui.engine.chunk import Chunk
from webui.engine.drafting import Drafting
from webui.engine.intake import Intake
from webui.engine.load_meter import LoadMeter
from webui.engine.looking import Glance, Looked, Looking
from webui.engine.pace import Pace
from webui.engine.parking import Parking
from webui.engine.probes import Prober
from webui.engine.protocol import (
    Cancel,
    Command,
    Embed,
    Failed,
    Finding,
    Forget,
    Generate,
    Happened,
    ListSlots,
    Loaded,
    LoadReport,
    Pause,
    Prefill,
    Probe,
    Probed,
    Rerank,
    Resume,
    Score,
    Shutdown,
)
from webui.engine.runner import KvFull, Runner
from webui.engine.saved_states import SavedStates
from webui.engine.scheduler import Scheduler
from webui.engine.slots import list_slots
from webui.engine.state_files import StateFiles
from webui.engine.step_budget import StepBudget
from webui.errors import ContextTooLong, EngineBusy, GlasshouseError, InvalidRequest
from webui.types import (
    ContextTrimmed,
    FinishReason,
    GenerationEvent,
    Image,
    Priority,
    PromptProgress,
    Queued,
    ReasoningDelta,
    TextDelta,
    TokenLogprobs,
    ToolCallDelta,
)

logger = logging.getLogger(__name__)

_NUM_RECENT = 8  #: finished requests from which the waiting time is estimated
_FLUSH_INTERVAL = 0.03  #: seconds; nobody sees the difference
_REST_SECONDS = 1.0  #: without a step: by then other programs may have come or gone
_FLUSH_SECONDS = 1.0  #: at the end, for states on their way to disk
_GLANCE_SECONDS = 0.02  #: between two looks at the commands while only images are being computed


class EngineLoop:
    """Serves one loaded model."""

    def __init__(self, channel: Channel, runner: Runner, clock: Callable[[], float]) -> None:
        self._channel = channel
        self._runner = runner
        self._clock = clock
        self._answers: dict[int, ReadAhead] = {}
        options = runner.info.options
        self._intake = Intake(runner.vocabulary, runner.info.options.chat_template, runner.vision)
        self._saved = SavedStates(Parking(options.parked_bytes), _open_files(runner))
        self._scheduler = Scheduler(
            num_slots=options.num_slots,
            kv_tokens=options.kv_tokens,
            context_tokens=options.context_tokens,
            batch_tokens=options.batch_tokens,
            memory=runner,
            saved=self._saved,
        )
        self._looking = Looking(runner.vision, self._scheduler.max_tokens)
        self._meter = LoadMeter(options.kv_tokens, clock())
        self._pace = Pace(options.threads)
        self._budget = StepBudget(options.batch_tokens, splits_writers=options.kv_layout == "separate")
        self._drafting = Drafting(runner.vocabulary.is_end, clock, runner.draft_model)
        self._can_draft = options.speculate and runner.can_trim
        self._finished_at: deque[float] = deque(maxlen=_NUM_RECENT)
        self._announced_version = 0
        self._computed_at = self._flushed_at = clock()
        self._is_urgent = False

    def run(self) -> None:
        """Serve until Shutdown."""
        thinking = self._intake.chat_format.thinking.support
        has_template = self._intake.has_template
        info = msgspec.structs.replace(self._runner.info, has_chat_template=has_template, thinking=thinking)
        self._channel.send(Loaded(info=info))
        self._channel.flush()
        while self._take_commands():
            for glance in self._looking.take_done():
                self._go_on(glance)
            if self._scheduler.has_work:
                self._step()
            elif self._looking.is_busy:
                self._looking.wait(_GLANCE_SECONDS)
            self._report_load()
            self._flush()
        self._saved.flush(_FLUSH_SECONDS)

    # --- commands --------------------------------------------------------------------------------------------------

    def _take_commands(self) -> bool:
        """Take all that has come, waiting for the first one when there is nothing else to do; False at Shutdown."""
        timeout = self._idle_timeout()
        while (command := self._channel.receive(timeout)) is not None:
            if isinstance(command, Shutdown):
                return False
            self._obey(command)
            timeout = 0
        return True

    def _obey(self, command: Command) -> None:
        match command:
            case Generate() | Prefill() | Probe() if images := self._looking.unseen(command):
                self._look(command, images)
            case Generate() | Prefill():
                self._accept(command, self._clock())
            case Cancel(request_id=request_id):
                if answer := self._answers.get(request_id):
                    self._finish(answer, "cancelled")
                elif glance := self._looking.find(request_id):
                    self._drop(glance)
            case Pause(request_id=request_id) | Resume(request_id=request_id):
                if answer := self._answers.get(request_id):
                    answer.sequence.is_paused = isinstance(command, Pause)
                elif glance := self._looking.find(request_id):
                    glance.is_paused = isinstance(command, Pause)
            case Forget(conversation=conversation):
                self._scheduler.cache.forget(conversation)
            case Probe():
                self._probe(command)
            case Embed() | Rerank():
                self._refuse(command, InvalidRequest("This is a chat model. Load an embedding or a rerank model."))

    def _idle_timeout(self) -> float | None:
        """How long to wait for a command. With nothing else to do, states of conversations are brought to disk."""
        if self._scheduler.has_work or self._looking.is_busy or self._scheduler.cache.store_one():
            return 0
        return None if self._meter.is_settled(0, 0) else self._meter.seconds_left(self._clock())

    # --- images ----------------------------------------------------------------------------------------------------

    def _look(self, command: Looked, images: list[Image]) -> None:
        """Its images are computed beside the steps; then it goes on."""
        if self._looking.is_full:
            self._refuse(command, EngineBusy(retry_after=math.ceil(self._seconds_per_answer(self._clock()) or 10.0)))
        else:
            self._looking.start(command, images, self._clock())

    def _go_on(self, glance: Glance) -> None:
        if isinstance(glance.command, Probe):
            self._probe(glance.command)
            return
        self._accept(glance.command, glance.arrived_at)
        if answer := self._answers.get(glance.command.request_id):
            answer.sequence.is_paused, answer.kept = glance.is_paused, glance.kept

    def _drop(self, glance: Glance) -> None:
        """Cancelled before anything was read."""
        self._looking.drop(glance.command.request_id)
        if isinstance(glance.command, Generate):
            self._meter.count_end("cancelled")
        end = never_read(self._clock() - glance.arrived_at)
        self._channel.send(Happened(request_id=glance.command.request_id, event=end))
        self._is_urgent = True

    # --- requests --------------------------------------------------------------------------------------------------

    def _accept(self, command: Generate | Prefill, arrived_at: float) -> None:
        """Queue a request, or answer it with the reason why not."""
        try:
            answer = self._prepare(command, arrived_at)
        except GlasshouseError as error:
            self._refuse(command, error)
        except Exception:  # one strange request must not end everybody's answers
            logger.exception("A request could not be taken")
            self._refuse(command, InvalidRequest("This conversation could not be read. The engine's log says why."))
        else:
            self._answers[command.request_id] = answer

    def _prepare(self, command: Generate | Prefill, arrived_at: float) -> ReadAhead:
        """The queued request; it holds its adapters until `_close`. Raises what is wrong with it, or EngineBusy."""
        self._runner.acquire_adapters(command.request.adapters)
        try:
            return self._queue(command, arrived_at)
        except Exception:
            self._runner.release_adapters(command.request.adapters)
            raise

    def _queue(self, command: Generate | Prefill, arrived_at: float) -> ReadAhead:
        request, most = command.request, self._scheduler.max_tokens
        if isinstance(command, Prefill):
            request = msgspec.structs.replace(request, priority=Priority.IDLE)
            reading = self._intake.prepare_draft(request, most)
            ahead = ReadAhead(command.request_id, request, reading, arrived_at=arrived_at)
            self._scheduler.add(ahead.sequence)
            return ahead
        if self._scheduler.is_full:
            raise EngineBusy(retry_after=math.ceil(max(1.0, self._seconds_per_answer(arrived_at) or 10.0)))
        reading = self._intake.prepare(request, most)
        sampler = self._runner.create_sampler(self._intake.sampling_of(request))
        answer = Answer(command.request_id, request, reading, sampler, arrived_at=arrived_at)
        try:
            self._scheduler.add(answer.sequence)
        except ContextTooLong:
            answer.close()
            raise
        if reading.num_dropped:
            self._tell(answer, ContextTrimmed(num_messages=reading.num_dropped))
        return answer

    def _probe(self, command: Probe) -> None:
        """Look at the model, between two steps; to compute something, while nobody else needs it."""
        try:
            if isinstance(command.asked, Score):
                if self._scheduler.has_work:
                    raise EngineBusy(retry_after=1)
                while self._scheduler.cache.evict_oldest():
                    pass
            if isinstance(command.asked, ListSlots):
                finding: Finding = list_slots(self._scheduler.slots)
            else:
                finding = Prober(self._runner, self._intake).probe(command.asked)
        except GlasshouseError as error:
            self._refuse(command, error)
        except Exception:  # one strange request must not end everybody's answers
            logger.exception("A probe failed")
            self._refuse(command, InvalidRequest("This could not be read. The engine's log says why."))
        else:
            self._channel.send(Probed(request_id=command.request_id, finding=finding))
            self._is_urgent = True

    def _refuse(self, command: Generate | Prefill | Embed | Rerank | Probe, error: GlasshouseError) -> None:
        if not isinstance(command, Prefill | Probe):
            self._meter.count_end("refused")
        self._channel.send(Failed(request_id=command.request_id, code=error.code, details=error.details))

    def _seconds_per_answer(self, now: float) -> float | None:
        """Between two ends of answers lately: how fast the queue moves."""
        return (now - self._finished_at[0]) / len(self._finished_at) if self._finished_at else None

    # --- a step ----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._draft()
        try:
            num_writers, is_crowded = len(self._scheduler.writers), self._scheduler.is_crowded
            chunks = self._scheduler.schedule(self._budget.tokens(num_writers=num_writers, is_crowded=is_crowded))
            self._announce(chunks)
            started_at = self._clock()
            if started_at - self._computed_at > _REST_SECONDS:
                self._pace.rest()
            self._compute(chunks)
        except ContextTooLong as error:
            self._give_up(error)
            return
        computed_at = self._computed_at = self._clock()
        self._scheduler.commit(chunks)
        row = num_sampled = 0
        for chunk in chunks:
            answer = self._answers[chunk.sequence.request_id]
            if chunk.sequence.num_completion_tokens == 0:
                self._tell(answer, _progress(answer))
            if isinstance(answer, Answer) and chunk.num_outputs:
                num_sampled += self._sample(answer, chunk, row)
            elif answer.sequence.num_remaining == 0:
                self._finish(answer, "stop")
            row += chunk.num_outputs
        if chunks and chunks[0].image is None:  # such a step says nothing about others
            self._observe(chunks, computed_at - started_at, num_sampled)
            self._drafting.observe(chunks, num_sampled, self._clock() - started_at)

    def _draft(self) -> None:
        """Guess ahead for those who write, while nobody reads and the pace is not just being measured."""
        if self._can_draft:
            is_quiet = not self._scheduler.has_readers and not self._pace.is_measuring
            writers = [each for each in self._scheduler.writers if not each.images]  # who guesses knows tokens only
            self._drafting.plan(writers, threads=self._pace.threads, is_quiet=is_quiet)

    def _observe(self, chunks: list[Chunk], seconds: float, num_sampled: int) -> None:
        """Learn from how long a step took."""
        num_tokens = _count(chunks)
        num_drafted = sum(chunk.num_drafted for chunk in chunks)
        num_accepted = num_sampled - sum(chunk.num_outputs > 0 for chunk in chunks)
        self._meter.count_step(seconds, num_drafted=num_drafted, num_accepted=num_accepted)
        if num_drafted:  # the pace compares steps of one size
            self._pace.pass_time(seconds)
        else:
            self._pace.observe(num_tokens, seconds)
        self._budget.observe(num_tokens, seconds)

    def _sample(self, answer: Answer, chunk: Chunk, row: int) -> int:
        """One token, and one more for each guess that was right; how many."""
        sequence, vocabulary = answer.sequence, self._runner.vocabulary
        guesses = chunk.tokens[chunk.count - chunk.num_drafted :]
        for index in range(chunk.num_outputs):
            try:
                sampled = self._runner.sample(row + index, answer.sampler)
            except InvalidRequest as error:  # a grammar has become too complex to go on
                self._fail(answer, error)
                return index
            num_tokens = sequence.num_tokens
            events, reason = answer.take(sampled, vocabulary, self._clock())
            self._meter.count(1)
            for event in events:
                self._tell(answer, event)
            if answer.is_broken and reason is None:
                reason = self._ask_again(answer)
                if reason is None:
                    return index + 1
            if reason is None and sequence.num_tokens >= self._scheduler.max_tokens:
                if self._shift(answer):
                    return index + 1
                reason = "length"
            if reason is not None:
                self._finish(answer, reason)
                return index + 1
            is_as_guessed = index < len(guesses) and guesses[index] == sampled.token
            if not is_as_guessed or sequence.num_tokens > num_tokens + 1:
                break
        if guesses:
            self._scheduler.settle(sequence)
        return index + 1

    def _ask_again(self, answer: Answer) -> FinishReason | None:
        """A call could not be read: back to where it began, and on by the grammar of the calls. Where that cannot be,
        it stands in the text, and perhaps that was the end."""
        try:
            sampler = self._runner.create_sampler(self._intake.sampling_of_call(answer.request))
        except InvalidRequest:
            events, reason = answer.give_back()
            for event in events:
                self._tell(answer, event)
            self._scheduler.settle(answer.sequence)
            return reason
        self._drafting.forget(answer.request_id)
        self._scheduler.rewind(answer.sequence, answer.ask_again(sampler, self._runner.vocabulary))
        return None

    def _shift(self, answer: Answer) -> bool:
        """The context is full: forget the older half behind the system prompt, where that is wanted and can be done."""
        if answer.request.overflow != "shift":
            return False
        sequence = answer.sequence
        self._scheduler.settle(sequence)
        keep = self._intake.count_system_tokens(answer.request, sequence.tokens)
        discard = (sequence.num_computed_tokens - keep) // 2
        if discard <= 0 or not self._scheduler.cache.shift(sequence, keep, discard):
            return False
        self._tell(answer, ContextTrimmed(num_tokens=discard))
        return True

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
        pace = self._seconds_per_answer(now)
        for position, sequence in enumerate(self._scheduler.waiting_order(), start=1):
            answer = self._answers[sequence.request_id]
            if answer.position != position:
                answer.position = position
                seconds = None if pace is None else round(pace * position, 1)
                self._tell(answer, Queued(position=position, seconds=seconds))
        self._channel.flush()

    def _compute(self, chunks: list[Chunk]) -> None:
        """Run one batch. llama.cpp may find no place although the account had one: then make room and plan again."""
        while chunks:
            try:
                self._runner.compute(chunks, threads=self._pace.threads_for(_count(chunks)))
            except KvFull:
                self._scheduler.shrink(chunks)
                chunks[:] = self._scheduler.schedule()
            else:
                return

    def _give_up(self, error: ContextTooLong) -> None:
        """The only admitted sequence has the whole memory and still does not fit."""
        self._fail(next(each for each in self._answers.values() if each.sequence.slot is not None), error)

    def _fail(self, answer: ReadAhead, error: GlasshouseError) -> None:
        self._close(answer)
        self._meter.count_end("failed")
        self._channel.send(Failed(request_id=answer.request_id, code=error.code, details=error.details))

    # --- the end of a request --------------------------------------------------------------------------------------

    def _finish(self, answer: ReadAhead, reason: FinishReason) -> None:
        now = self._clock()
        self._close(answer)
        if isinstance(answer, Answer):
            self._finished_at.append(now)
            self._meter.count_end(reason)
        for event in answer.finish(reason, now):
            self._tell(answer, event)

    def _close(self, answer: ReadAhead) -> None:
        self._scheduler.settle(answer.sequence)
        self._scheduler.remove(answer.sequence)
        self._drafting.forget(answer.request_id)
        answer.close()
        self._runner.release_adapters(answer.request.adapters)
        del self._answers[answer.request_id]

    def _tell(self, answer: ReadAhead, event: GenerationEvent) -> None:
        self._channel.send(Happened(request_id=answer.request_id, event=event))
        is_text = isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta | TokenLogprobs)
        is_more_text = is_text and answer.num_sampled > 1
        self._is_urgent = self._is_urgent or not is_more_text

    def _flush(self) -> None:
        """Send what there is to say. More words of a fast answer wait a moment for the next ones: each time the web
        process wakes up, it takes a core from the threads that compute the next step."""
        now = self._clock()
        if self._is_urgent or now - self._flushed_at >= _FLUSH_INTERVAL or not self._scheduler.has_work:
            self._channel.flush()
            self._is_urgent, self._flushed_at = False, now

    def _report_load(self) -> None:
        scheduler = self._scheduler
        load = self._meter.report(
            num_running=scheduler.num_running,
            num_waiting=scheduler.num_waiting,
            kv_used=scheduler.kv_used,
            kv_total=scheduler.kv_total,
            slots_used=scheduler.num_slots_used,
            parked_bytes=self._saved.parked_bytes,
            disk_bytes=self._saved.stored_bytes,
            prompt_tokens=scheduler.cache.num_prompt_tokens,
            cached_tokens=dict(scheduler.cache.hits),
            num_preemptions=scheduler.num_preempted,
            now=self._clock(),
        )
        if load is not None:
            self._channel.send(LoadReport(load=load))


def _open_files(runner: Runner) -> StateFiles | None:
    options = runner.info.options
    if options.state_dir is None or not options.state_bytes:
        return None
    return StateFiles(Path(options.state_dir), runner.state_key, options.state_bytes)


def _progress(answer: ReadAhead) -> PromptProgress:
    sequence = answer.sequence
    return PromptProgress(done=sequence.num_computed_tokens, total=sequence.num_prompt_tokens)


def _count(chunks: list[Chunk]) -> int:
    return sum(chunk.count for chunk in chunks)

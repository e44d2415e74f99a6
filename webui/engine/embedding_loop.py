"""The loop of an engine whose model embeds or ranks: commands in, batches of inputs, vectors or scores out.

Between two batches it takes every command that has come, so that a cancelled request is gone before the next one and a
short request goes beside a long one. Every accepted request ends in exactly one Embedded or Reranked, or one Failed,
unless it is cancelled. It does not know llama.cpp or the operating system: a runner and a channel are handed to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import Protocol, cast, runtime_checkable

from webui.engine.channel import Channel
from webui.engine.embedding_jobs import Item, Job, JobTable
from webui.engine.load_meter import End, LoadMeter
from webui.engine.protocol import (
    MAX_FRAME_BYTES,
    Cancel,
    Embed,
    Embedded,
    Failed,
    Generate,
    Loaded,
    LoadReport,
    Prefill,
    Probe,
    Rerank,
    Reranked,
    Shutdown,
)
from webui.engine.vectors import Matrix, pack_vector, to_scores
from webui.errors import EngineBusy, GlasshouseError, InputTooLong, InvalidRequest
from webui.types import EmbeddingRequest, Embeddings, EngineInfo, Ranking, RerankRequest

logger = logging.getLogger(__name__)

_BUSY_SECONDS = 5.0
_CPU_BATCH = 512  #: tokens; larger batches are not faster there, and whoever comes waits for the end of one
_GPU_BATCH = 2048
_FLOAT_BYTES = 4
_FRAME_MARGIN = 1024 * 1024


@runtime_checkable
class EmbeddingRunner(Protocol):
    """One loaded model that embeds or ranks."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def num_vocab(self) -> int: ...

    @property
    def embedding_length(self) -> int:
        """Numbers in a vector; 1 for a rerank model."""

    @property
    def gives_probabilities(self) -> bool:
        """Whether a rerank model's score is one already; else it is a logit."""

    def tokenize_input(self, text: str) -> list[int]:
        """The tokens of a text with the special ones that the model wants around it."""

    def tokenize_pair(self, query: str, document: str) -> list[int]: ...

    def compute(self, sequences: Items[Items[int]]) -> Matrix:
        """One row for each sequence: its pooled vector, or its rank. RuntimeError ends the engine."""


class EmbeddingLoop:
    """Serves one loaded embedding or rerank model."""

    def __init__(self, channel: Channel, runner: EmbeddingRunner, clock: Callable[[], float]) -> None:
        self._channel = channel
        self._runner = runner
        self._clock = clock
        self._jobs = JobTable()
        self._max_tokens = runner.info.options.context_tokens
        on_gpu = runner.info.options.gpu_layers != 0
        self._batch_tokens = min(_GPU_BATCH if on_gpu else _CPU_BATCH, runner.info.options.batch_tokens)
        self._meter = LoadMeter(runner.info.options.batch_tokens, clock())

    def run(self) -> None:
        """Serve until Shutdown."""
        self._channel.send(Loaded(info=self._runner.info))
        self._channel.flush()
        while self._take_commands():
            if batch := self._fill_batch():
                self._compute(batch)
            self._report_load()
            self._channel.flush()

    # --- commands --------------------------------------------------------------------------------------------------

    def _take_commands(self) -> bool:
        """Take all that has come, waiting for the first one when there is nothing to do; False at Shutdown."""
        timeout = self._idle_timeout()
        while (command := self._channel.receive(timeout)) is not None:
            match command:
                case Shutdown():
                    return False
                case Embed() | Rerank():
                    self._accept(command)
                case Generate() | Prefill():
                    self._fail(command.request_id, InvalidRequest("This model does not write. Load a chat model."))
                case Probe(request_id=request_id):
                    self._fail(request_id, InvalidRequest("Only chat models are looked at in this way."))
                case Cancel(request_id=request_id):
                    if job := self._jobs.get(request_id):
                        self._jobs.remove(job)
                case _:
                    pass  # Pause, Forget, ...: nothing is kept here
            timeout = 0
        return True

    def _idle_timeout(self) -> float | None:
        if len(self._jobs):
            return 0
        return None if self._meter.is_settled(0, 0) else self._meter.seconds_left(self._clock())

    def _accept(self, command: Embed | Rerank) -> None:
        """Queue a request, or answer it with the reason why not."""
        try:
            if self._jobs.is_full:
                raise EngineBusy(retry_after=_BUSY_SECONDS)
            kind = self._runner.info.kind
            if isinstance(command, Embed):
                if kind != "embedding":
                    raise InvalidRequest(f"This is a {kind} model. Load an embedding model to embed texts.")
                job = self._embedding_job(command, command.request)
            else:
                if kind != "rerank":
                    raise InvalidRequest(f"This is an {kind} model. Load a rerank model to rank documents.")
                job = self._rerank_job(command, command.request)
        except GlasshouseError as error:
            self._fail(command.request_id, error)
        else:
            self._jobs.add(job)

    def _embedding_job(self, command: Embed, request: EmbeddingRequest) -> Job:
        length = self._runner.embedding_length
        if not request.inputs:
            raise InvalidRequest("There is nothing to embed.")
        if request.dimensions is not None and not 1 <= request.dimensions <= length:
            raise InvalidRequest(f"dimensions must be between 1 and {length}, not {request.dimensions}.")
        most = (MAX_FRAME_BYTES - _FRAME_MARGIN) // (_FLOAT_BYTES * (request.dimensions or length))
        if len(request.inputs) > most:
            raise InvalidRequest(f"These are {len(request.inputs):,} inputs. Send at most {most:,} at once.")
        return Job(command, len(request.inputs), lambda index: self._read_input(request, index))

    def _rerank_job(self, command: Rerank, request: RerankRequest) -> Job:
        if not request.query:
            raise InvalidRequest("The query is empty.")
        if not request.documents:
            raise InvalidRequest("There are no documents to rank.")
        return Job(command, len(request.documents), lambda index: self._read_pair(request, index))

    def _read_input(self, request: EmbeddingRequest, index: int) -> list[int]:
        given = request.inputs[index]
        if isinstance(given, str):
            tokens = self._runner.tokenize_input(given) if given else []
        else:
            tokens = list(given)
            if any(not 0 <= token < self._runner.num_vocab for token in tokens):
                last = self._runner.num_vocab - 1
                raise InvalidRequest(f"Input {index + 1} has a token that the model does not know (0 to {last} exist).")
        return self._check_length(tokens, index)

    def _read_pair(self, request: RerankRequest, index: int) -> list[int]:
        document = request.documents[index]
        return self._check_length(self._runner.tokenize_pair(request.query, document) if document else [], index)

    def _check_length(self, tokens: list[int], index: int) -> list[int]:
        if not tokens:
            raise InvalidRequest(f"Input {index + 1} is empty.")
        if len(tokens) > self._max_tokens:
            raise InputTooLong(len(tokens), self._max_tokens, index + 1)
        return tokens

    # --- a batch ---------------------------------------------------------------------------------------------------

    def _fill_batch(self) -> list[Item]:
        """Inputs for one batch. One that is longer than a batch usually is goes alone, and what nobody waits for never
        makes the batch of others longer."""
        batch: list[Item] = []
        room = self._batch_tokens
        while len(batch) < self._runner.info.options.num_slots and (job := self._jobs.next_job()) is not None:
            if batch and job.is_idle and not batch[0].job.is_idle:
                break
            try:
                tokens = job.peek()
            except GlasshouseError as error:
                self._give_up(job, error)
                continue
            except Exception:  # one strange text must not end everybody's requests
                logger.exception("An input could not be read")
                self._give_up(job, InvalidRequest("An input could not be read. The engine's log says why."))
                continue
            if batch and len(tokens) > room:
                break
            room -= len(tokens)
            batch.append(self._jobs.take(job))
        return batch

    def _compute(self, batch: list[Item]) -> None:
        started_at = self._clock()
        rows = self._runner.compute([item.tokens for item in batch])
        self._meter.count_step(self._clock() - started_at)
        self._meter.count_read(sum(len(item.tokens) for item in batch))
        ranks = to_scores(rows, self._runner.gives_probabilities) if self._runner.info.kind == "rerank" else None
        for place, item in enumerate(batch):
            job = item.job
            if job not in self._jobs:
                continue
            request = job.command.request
            if isinstance(request, EmbeddingRequest):
                job.complete(item.index, pack_vector(rows[place], request.dimensions, normalize=request.normalize))
            elif ranks is not None:
                job.complete(item.index, ranks[place])
            if job.is_complete:
                self._finish(job)

    # --- the end of a request --------------------------------------------------------------------------------------

    def _finish(self, job: Job) -> None:
        self._jobs.remove(job)
        self._meter.count_end("stop")
        command, results, num_tokens = job.command, job.results, job.num_tokens
        if isinstance(command, Embed):
            vectors = b"".join(cast("list[bytes]", results))
            dimensions = command.request.dimensions or self._runner.embedding_length
            embeddings = Embeddings(vectors=vectors, dimensions=dimensions, num_tokens=num_tokens)
            self._channel.send(Embedded(request_id=command.request_id, embeddings=embeddings))
        else:
            ranking = Ranking(scores=tuple(cast("list[float]", results)), num_tokens=num_tokens)
            self._channel.send(Reranked(request_id=command.request_id, ranking=ranking))

    def _give_up(self, job: Job, error: GlasshouseError) -> None:
        self._jobs.remove(job)
        self._fail(job.command.request_id, error, "failed")

    def _fail(self, request_id: int, error: GlasshouseError, how: End = "refused") -> None:
        self._meter.count_end(how)
        self._channel.send(Failed(request_id=request_id, code=error.code, details=error.details))

    def _report_load(self) -> None:
        load = self._meter.report(num_running=len(self._jobs), num_waiting=0, kv_used=0, now=self._clock())
        if load is not None:
            self._channel.send(LoadReport(load=load))

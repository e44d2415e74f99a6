"""Compares models of one vocabulary on a text: size, speed, perplexity, and how far they are from the first of them.

As `llama-perplexity --kl-divergence` does it: the text in chunks, each read on its own, scored in its second half. The
first model's log-probabilities go to a file without a name (gone with this process, however it ends); the others are
loaded one after the other and read against it. So memory holds one model and one block of logits.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from webui.errors import DiskFull, TextTooShort, VocabularyMismatch
from webui.workbench.compare_figures import Packed, Tally, log_softmax, pack, row_bytes
from webui.workbench.compare_model import ComparedModel
from webui.workbench.protocol import Compare, Compared, ComparedFigures, ReportProgress

FEWEST_TOKENS = 64
MOST_SCRATCH_BYTES = 4 << 30
_WRITTEN_TOKENS = 16


@dataclass(frozen=True, slots=True)
class _Plan:
    """The chunks that every model reads, and from which position on they are scored."""

    chunks: tuple[tuple[int, ...], ...]
    first: int
    num_vocab: int

    @property
    def rows_of_chunk(self) -> int:
        return len(self.chunks[0]) - 1 - self.first

    @property
    def num_rows(self) -> int:
        return len(self.chunks) * self.rows_of_chunk


def run(request: Compare, report: ReportProgress) -> Compared:
    """Raises VocabularyMismatch, TextTooShort, DiskFull, LoadFailed or WorkFailed."""
    plan: _Plan | None = None
    figures: list[ComparedFigures] = []
    with tempfile.TemporaryFile(dir=request.scratch_dir) as scratch:
        for number, each in enumerate(request.models):
            name = Path(each.path).name

            def progress(share: float, name: str = name, number: int = number) -> None:
                report((number + share) / len(request.models), f"{name} reads the text")

            progress(0.0)
            model = ComparedModel(
                each.path,
                name,
                context_tokens=request.context_tokens + _WRITTEN_TOKENS,
                threads=request.threads,
                gpu_layers=each.gpu_layers,
            )
            try:
                tokens = model.tokenize(request.text)
                if plan is None:
                    plan = _make_plan(request, model, tokens)
                elif model.num_vocab != plan.num_vocab or not _has_same_tokens(plan, tokens):
                    raise VocabularyMismatch(name, Path(request.models[0].path).name)
                tally = _read(model, plan, scratch, is_reference=number == 0, progress=progress)
                model.write(len(plan.chunks[0]) - 1, _WRITTEN_TOKENS)
                figures.append(_figures(each.path, model, tally))
            finally:
                model.close()
    assert plan is not None  # noqa: S101 - there is at least one model
    return Compared(
        models=tuple(figures),
        num_tokens=plan.num_rows,
        num_chunks=len(plan.chunks),
        context_tokens=len(plan.chunks[0]),
    )


def _make_plan(request: Compare, model: ComparedModel, tokens: Sequence[int]) -> _Plan:
    if len(tokens) < FEWEST_TOKENS:
        raise TextTooShort(len(tokens), FEWEST_TOKENS)
    length = min(request.context_tokens, len(tokens))
    first = length // 2
    row = row_bytes(model.num_vocab)
    num_chunks = min(request.max_chunks, len(tokens) // length)
    if len(request.models) > 1:
        free = shutil.disk_usage(request.scratch_dir).free - request.keep_free_bytes
        affordable = min(free, MOST_SCRATCH_BYTES) // (row * (length - 1 - first))
        if affordable < 1:
            raise DiskFull("the comparison", row * (length - 1 - first), max(0, free))
        num_chunks = min(num_chunks, affordable)
    chunks = [list(tokens[start : start + length]) for start in range(0, num_chunks * length, length)]
    if model.begins_with is not None:
        for chunk in chunks:
            chunk[0] = model.begins_with
    return _Plan(tuple(map(tuple, chunks)), first, model.num_vocab)


def _has_same_tokens(plan: _Plan, tokens: Sequence[int]) -> bool:
    """Whether this vocabulary cuts the text in the same way; first tokens of chunks may be the beginning's."""
    length = len(plan.chunks[0])
    starts = range(0, len(plan.chunks) * length, length)
    return all(
        tuple(tokens[start + 1 : start + length]) == chunk[1:] for start, chunk in zip(starts, plan.chunks, strict=True)
    )


def _read(
    model: ComparedModel,
    plan: _Plan,
    scratch: BinaryIO,
    *,
    is_reference: bool,
    progress: Callable[[float], None],
) -> Tally:
    """Read all chunks; the reference's log-probabilities go to the file, the others' are compared with them."""
    tally = Tally()
    scratch.seek(0)
    for number, chunk in enumerate(plan.chunks):
        position = plan.first
        for logits in model.read(chunk, plan.first):
            logprobs = log_softmax(logits)
            following = np.asarray(chunk[position + 1 : position + 1 + len(logprobs)], np.intp)
            if is_reference:
                scratch.write(pack(logprobs).to_bytes())
                tally.add(logprobs, following, None)
            else:
                data = scratch.read(len(logprobs) * row_bytes(plan.num_vocab))
                tally.add(logprobs, following, Packed.from_bytes(data, plan.num_vocab).unpack())
            position += len(logprobs)
        progress((number + 1) / len(plan.chunks))
    return tally


def _figures(path: str, model: ComparedModel, tally: Tally) -> ComparedFigures:
    perplexity, error = tally.perplexity
    has_reference = bool(tally.divergences)
    divergence, divergence_error = tally.divergence if has_reference else (None, None)
    return ComparedFigures(
        path=path,
        size_bytes=Path(path).stat().st_size,
        reading_speed=model.num_read / model.reading_seconds if model.reading_seconds else 0.0,
        writing_speed=model.num_written / model.writing_seconds if model.writing_seconds else 0.0,
        perplexity=perplexity,
        perplexity_error=error,
        divergence=divergence,
        divergence_error=divergence_error,
        divergence_tail=tally.divergence_tail if has_reference else None,
        same_best=tally.same_best if has_reference else None,
    )

"""A draft model: a small GGUF with the same vocabulary that guesses how the big model goes on, greedily.

It has a KV memory of its own with the same slots, and keeps it in step by itself: for every guess it finds out how far
what a slot holds agrees with the sequence, forgets the rest and reads what is missing. A long prompt is read in pieces,
and until that is done there is no guess. It guesses for several sequences at once, one batch for each further token. It
does not know whether its guesses are checked, or what came of them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence as Items
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import msgspec
import numpy as np

from webui.engine.context_size import cells_of_slot
from webui.engine.drafting import Wanted
from webui.engine.llama_context import create_context
from webui.engine.llama_memory import LlamaMemory
from webui.engine.load_log import LoadLog
from webui.engine.radix_tree import common_prefix
from webui.errors import LoadFailed
from webui.types import EngineOptions

READ_TOKENS = 256  #: that one call reads at most, all slots together: nobody's stream waits for more
_CATCH_UP = 32  #: so few are read and guessed behind in the same call
_LEAST_SURE = 0.2  #: a guess ends where it is less probable than this, by the draft model's own odds
_MOST_PADDING = 128  #: tokens by which vocabularies of one family differ in size: rows without a meaning
_COMPARED_EVERY = 61  #: of the tokens' texts, beside the first and the last ones
_COMPARED_ENDS = 512


@dataclass(slots=True)
class _Guess:
    """A guess that grows."""

    wanted: Wanted
    tokens: list[int]
    odds: float = 1.0  #: that all of it is right

    @property
    def is_done(self) -> bool:
        return len(self.tokens) >= self.wanted.num_tokens or self.odds < _LEAST_SURE


class LlamaDraftModel:
    """Satisfies `DraftModel`. Create it with `load_draft_model`."""

    def __init__(
        self,
        model: llama_cpp.llama_model_p,
        context: llama_cpp.llama_context_p,
        options: EngineOptions,
        *,
        num_common_tokens: int,
    ) -> None:
        """`num_common_tokens`: of the vocabulary; it never guesses others."""
        self._context = context
        self._memory = LlamaMemory(model, context, shares_cells=options.kv_layout == "shared")
        self._options = options
        self._num_vocabulary = num_common_tokens
        self._held: list[list[int]] = [[] for _ in range(options.num_slots)]
        self._batch = llama_cpp.llama_batch_init(options.batch_tokens, 0, 1)
        self._num_rows = 0
        self._output_rows: list[int] = []  # of the last batch

    def propose(self, wanted: Items[Wanted], *, threads: int) -> list[list[int]]:
        """The most probable tokens behind each sequence; fewer where it is not sure, none while it reads."""
        llama_cpp.llama_set_n_threads(self._context, threads, self._options.threads)
        guesses = {each.slot: _Guess(each, []) for each in wanted if each.num_tokens > 0}
        growing = self._catch_up(list(guesses.values()))
        while growing:
            for row, guess in enumerate(growing):
                self._grow(guess, row)
            growing = [guess for guess in growing if not guess.is_done][: self._options.batch_tokens]
            for guess in growing:
                self._add(guess.wanted.slot, guess.tokens[-1:], has_output=True)
            if not self._decode():
                break
        return [guesses[each.slot].tokens if each.slot in guesses else [] for each in wanted]

    def _catch_up(self, guesses: list[_Guess]) -> list[_Guess]:
        """Read what is missing; those that can be guessed behind, their logits in this order."""
        ready, budget = [], min(READ_TOKENS, self._options.batch_tokens)
        for guess in guesses:
            slot, tokens = guess.wanted.slot, guess.wanted.tokens
            num_missing = len(tokens) - self._agree(slot, tokens)
            is_ready = num_missing <= min(_CATCH_UP, budget)
            count = min(num_missing, budget)
            if count and len(tokens) + guess.wanted.num_tokens <= cells_of_slot(self._options):
                start = len(tokens) - num_missing
                self._add(slot, tokens[start : start + count], has_output=is_ready)
                budget -= count
                if is_ready:
                    ready.append(guess)
        return ready if self._decode() else []

    def _agree(self, slot: int, tokens: list[int]) -> int:
        """Forget what the slot holds beyond what it has in common with `tokens`; how much that is. Not all of them: the
        last one's logits are needed."""
        held = self._held[slot]
        length = min(common_prefix(held, tokens), len(tokens) - 1)
        if length < len(held):
            if not self._memory.trim(slot, length):
                self._memory.clear(slot)
                length = 0
            del held[length:]
        return length

    def _grow(self, guess: _Guess, row: int) -> None:
        """The most probable token of that row of logits goes behind the guess."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, self._output_rows[row])
        logits = np.ctypeslib.as_array(pointer, shape=(self._num_vocabulary,))
        token = int(logits.argmax())
        guess.odds *= 1.0 / float(np.exp(logits - logits[token]).sum())
        guess.tokens.append(token)

    # --- batches ---------------------------------------------------------------------------------------------------

    def _add(self, slot: int, tokens: list[int], *, has_output: bool) -> None:
        """Put tokens behind what the slot holds into the next batch."""
        batch, held = self._batch, self._held[slot]
        for token in tokens:
            row = self._num_rows
            batch.token[row], batch.pos[row] = token, len(held)
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, slot
            batch.logits[row] = 0
            held.append(token)
            self._num_rows += 1
        batch.logits[self._num_rows - 1] = has_output

    def _decode(self) -> bool:
        """Compute the batch, if there is anything in it. False: no guesses from it."""
        batch, self._num_rows, batch_size = self._batch, 0, self._num_rows
        batch.n_tokens = batch_size
        self._output_rows = [row for row in range(batch_size) if batch.logits[row]]
        if not batch_size:
            return False
        if llama_cpp.llama_decode(self._context, batch) == 0:
            self._memory.note_step()
            return True
        for slot, held in enumerate(self._held):  # full, most probably: begin again
            self._memory.clear(slot)
            held.clear()
        return False


def load_draft_model(
    target: llama_cpp.llama_model_p, options: EngineOptions, log: LoadLog, target_name: str
) -> LlamaDraftModel:
    """Load the GGUF that the target's settled `options` name. Raises LoadFailed or OutOfMemory."""
    path = options.draft_model_path or ""
    name = Path(path).stem
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = options.gpu_layers
    model = llama_cpp.llama_model_load_from_file(path.encode(), params)
    if model is None:
        raise log.explain(name)
    try:
        num_common_tokens = compare_vocabularies(target, model, target_name=target_name, draft_name=name)
        return _with_context(model, options, log, name, num_common_tokens)
    except Exception:
        llama_cpp.llama_model_free(model)
        raise


def _with_context(
    model: llama_cpp.llama_model_p, options: EngineOptions, log: LoadLog, name: str, num_common_tokens: int
) -> LlamaDraftModel:
    options = msgspec.structs.replace(options, kv_type="f16", flash_attention="auto")
    context = create_context(model, options)
    if context is None:
        raise log.explain(name)
    memory = LlamaMemory(model, context, shares_cells=False)
    token = (llama_cpp.llama_token * 1)(0)
    if not memory.can_trim:
        llama_cpp.llama_free(context)
        raise LoadFailed(name, "it cannot guess for another model, because its memory cannot forget a wrong guess.")
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(token, 1)) != 0:
        llama_cpp.llama_free(context)
        raise log.explain(name)
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), False)
    return LlamaDraftModel(model, context, options, num_common_tokens=num_common_tokens)


def compare_vocabularies(
    target: llama_cpp.llama_model_p, draft: llama_cpp.llama_model_p, *, target_name: str, draft_name: str
) -> int:
    """How many tokens both have. Raises LoadFailed when the same number means another text."""
    left, right = llama_cpp.llama_model_get_vocab(target), llama_cpp.llama_model_get_vocab(draft)
    sizes: tuple[int, int] = (llama_cpp.llama_vocab_n_tokens(left), llama_cpp.llama_vocab_n_tokens(right))
    common = min(sizes)
    compared = {*range(0, common, _COMPARED_EVERY), *range(min(_COMPARED_ENDS, common))}
    compared |= set(range(max(0, common - _COMPARED_ENDS), common)) if sizes[0] == sizes[1] else set()
    is_same = (
        llama_cpp.llama_vocab_type(left) == llama_cpp.llama_vocab_type(right)
        and max(sizes) - common <= _MOST_PADDING
        and all(_text(left, token) == _text(right, token) for token in compared)
    )
    if not is_same:
        raise LoadFailed(
            draft_name,
            f"it has another vocabulary than {target_name} ({sizes[1]:,} and {sizes[0]:,} tokens), and so cannot guess "
            "for it. Choose a smaller model of the same family.",
        )
    return common


def _text(vocab: llama_cpp.llama_vocab_p, token: int) -> bytes:
    text: bytes = llama_cpp.llama_vocab_get_text(vocab, token)
    return ctypes.string_at(text) if text else b""

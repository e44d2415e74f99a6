"""The model runner: one GGUF, one llama.cpp context, one batch at a time.

It loads the file, turns chunks into a `llama_batch` and decodes it; what the scheduler decides about the KV memory it
passes on to `llama_memory`. It decides nothing itself.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from collections.abc import Sequence as Items
from functools import cached_property
from pathlib import Path
from typing import cast

import llama_cpp
import msgspec
import numpy as np
from numpy.typing import NDArray

from webui.engine.adapters import AdapterShelf
from webui.engine.chunk import Chunk
from webui.engine.draft_model import LlamaDraftModel, load_draft_model
from webui.engine.embedding_runner import LlamaEmbeddingRunner, find_pooling, load_embedding_runner
from webui.engine.grammar import GrammarCompiler, GrammarVocabulary
from webui.engine.image_batch import ImageBatch
from webui.engine.llama_context import create_context, settle_options
from webui.engine.llama_memory import LlamaMemory
from webui.engine.load_log import LoadLog
from webui.engine.mapped_weights import release_mapped_pages
from webui.engine.projector import Projector, load_vision
from webui.engine.protocol import Load
from webui.engine.reasoning import is_part_of_mark
from webui.engine.runner import GapTokens, KvFull, Sampled, Sampler
from webui.engine.sampler import LlamaSampler
from webui.engine.sequence import Variant
from webui.engine.state_key import state_key
from webui.engine.validation import check_sampling
from webui.engine.vision import NoVision
from webui.errors import LoadFailed
from webui.types import EngineInfo, EngineOptions, SamplingParams

_LOG_DEBUG, _LOG_INFO, _LOG_CONT = 1, 2, 5  # ggml.h: enum ggml_log_level


class LlamaVocabulary:
    """The model's vocabulary: text to tokens and back."""

    def __init__(self, model: llama_cpp.llama_model_p) -> None:
        vocab = llama_cpp.llama_model_get_vocab(model)
        if vocab is None:
            raise ValueError("the model has no vocabulary")
        self._vocab = vocab
        self._bytes: dict[int, bytes] = {}
        template = llama_cpp.llama_model_chat_template(model, None)
        self.chat_template = template.decode("utf-8", "replace") if template else None
        self.num_tokens = llama_cpp.llama_vocab_n_tokens(vocab)
        self.bos = llama_cpp.llama_vocab_bos(vocab)
        self.bos_text = self._text(self.bos)
        self.eos_text = self._text(llama_cpp.llama_vocab_eos(vocab))

    @cached_property
    def control_texts(self) -> frozenset[str]:
        controls = (token for token in range(self.num_tokens) if self._is_control(token))
        return frozenset(text for token in controls if len(text := self._text(token)) > 1)

    def tokenize(self, pieces: Items[str]) -> list[int]:
        """Tokens of the joined pieces; control tokens are parsed inside a piece, never across two. BOS where due."""
        tokens = self._tokenize(pieces[0])
        for piece in pieces[1:]:
            tokens += self.tokenize_behind(piece)
        if llama_cpp.llama_vocab_get_add_bos(self._vocab) and tokens[:1] != [self.bos]:
            tokens.insert(0, self.bos)
        return tokens

    def tokenize_behind(self, text: str, *, parse_control: bool = True) -> list[int]:
        """Tokens of a text that goes on behind another: without the blank that SentencePiece puts before a beginning.

        llama.cpp cannot be told to leave it out, so the text is tokenized behind a line feed, which no token of such a
        vocabulary joins with what follows, and the line feed is cut off again.
        """
        anchor = self._tokenize("\n")
        anchored = self._tokenize("\n" + text, parse_control=parse_control)
        if self._prefixes_blank and anchored[: len(anchor)] == anchor:
            return anchored[len(anchor) :]
        return self._tokenize(text, parse_control=parse_control)

    def tokenize_text(self, text: str) -> list[int]:
        """Tokens of a text that goes on behind another, control tokens written out."""
        return self.tokenize_behind(text, parse_control=False)

    @cached_property
    def gap_tokens(self) -> GapTokens:
        """As the file names them, or as llama.cpp knows them by their texts."""
        found = (
            llama_cpp.llama_vocab_fim_pre(self._vocab),
            llama_cpp.llama_vocab_fim_suf(self._vocab),
            llama_cpp.llama_vocab_fim_mid(self._vocab),
            llama_cpp.llama_vocab_fim_sep(self._vocab),
            llama_cpp.llama_vocab_fim_rep(self._vocab),
        )
        return GapTokens(*(token if token >= 0 else None for token in found))

    def token_bytes(self, token: int) -> bytes:
        """What a token says in the answer; control tokens are silent unless marks of thinking are made of them."""
        piece = self._bytes.get(token)
        if piece is None:
            special = self._is_control(token) and is_part_of_mark(self._text(token))
            piece = self._bytes[token] = self._piece(token, special=special)
        return piece

    def control_text(self, token: int) -> str:
        """The text of a control token; empty for others, and for those that end an answer."""
        return self._text(token) if self._is_control(token) and not self.is_end(token) else ""

    def shown_bytes(self, token: int) -> bytes:
        """A token's text, also that of a control token; a place of an image says nothing."""
        return self._piece(token, special=True) if token >= 0 else b""

    def is_end(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        return tuple(token for token in range(self.num_tokens) if self.is_end(token))

    @property
    def pointer(self) -> llama_cpp.llama_vocab_p:
        pointer: llama_cpp.llama_vocab_p = self._vocab
        return pointer

    @cached_property
    def grammars(self) -> GrammarCompiler:
        """Made when the first grammar is asked for: it takes a while."""
        tokens = range(self.num_tokens)
        pieces = [b"" if self._is_control(token) else self._piece(token, special=False) for token in tokens]
        controls = {text: token for token in tokens if (text := self.control_text(token))}
        return GrammarCompiler(
            GrammarVocabulary(pieces, self.ends, lambda text: self.tokenize_behind(text, parse_control=False), controls)
        )

    def _is_control(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_control(self._vocab, token)) or self.is_end(token)

    def _text(self, token: int) -> str:
        return llama_cpp.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace") if token >= 0 else ""

    def _piece(self, token: int, *, special: bool) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def _tokenize(self, text: str, *, parse_control: bool = True) -> list[int]:
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        while True:
            buffer = (llama_cpp.llama_token * size)()
            length = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, size, False, parse_control)
            if length >= 0:
                return buffer[:length]
            size = -length

    @cached_property
    def _prefixes_blank(self) -> bool:
        return b"".join(self._piece(token, special=False) for token in self._tokenize("a")).startswith(b" ")


class LlamaRunner:
    """A loaded model. Create it with `load_model`."""

    def __init__(
        self,
        model: llama_cpp.llama_model_p,
        context: llama_cpp.llama_context_p,
        options: EngineOptions,
        log: LlamaLog,
        *,
        state_key: str,
        draft_model: LlamaDraftModel | None = None,
        vision: Projector | NoVision,
    ) -> None:
        self._model = model
        self._context = context
        self._log = log  # llama.cpp keeps calling it
        self._options = options
        self._adapters = AdapterShelf(model, context, lambda: log.lines.last_problem)
        self._memory = LlamaMemory(
            model, context, shares_cells=options.kv_layout == "shared", is_quantized=options.kv_type != "f16"
        )
        self._batch = llama_cpp.llama_batch_init(options.batch_tokens, 0, 1)
        self._outputs: list[int] = []
        self.vocabulary = LlamaVocabulary(model)
        self.state_key = state_key
        self.draft_model = draft_model
        self.vision = vision
        self._images = ImageBatch(context, options.batch_tokens, vision) if isinstance(vision, Projector) else None
        self.info = msgspec.structs.replace(_describe(model, options, log), sees=self._images is not None)

    # --- computing -------------------------------------------------------------------------------------------------

    def compute(self, chunks: Items[Chunk], *, threads: int) -> None:
        """Decode one batch. Raises KvFull when the memory has no room; RuntimeError ends the engine."""
        self._adapters.use(chunks[0].sequence.variant)
        llama_cpp.llama_set_n_threads(self._context, threads, threads)  # for one token, for more of them
        status = self._decode_tokens(chunks) if chunks[0].image is None else self._decode_image(chunks[0])
        if status == 1:
            raise KvFull
        if status != 0:
            raise RuntimeError(f"llama_decode failed with {status}")
        self._memory.note_step()

    def _decode_tokens(self, chunks: Items[Chunk]) -> int:
        batch, row = self._batch, 0
        self._outputs = []
        for chunk in chunks:
            first = chunk.sequence.place(chunk.start)
            for offset, token in enumerate(chunk.tokens):
                batch.token[row] = token
                batch.pos[row] = first + offset
                batch.n_seq_id[row] = 1
                batch.seq_id[row][0] = chunk.slot
                has_output = offset >= chunk.count - chunk.num_outputs
                batch.logits[row] = has_output
                if has_output:
                    self._outputs.append(row)
                row += 1
        batch.n_tokens = row
        return int(llama_cpp.llama_decode(self._context, batch))

    def _decode_image(self, chunk: Chunk) -> int:
        if self._images is None:
            raise RuntimeError("there is no projector for an image")
        self._outputs = [chunk.count - 1] if chunk.num_outputs else []
        status = self._images.decode(chunk)
        if status == 0 and chunk.image is not None and chunk.start + chunk.count == chunk.image.end:
            self._memory.note_image(chunk.slot, chunk.image.end, chunk.image.part.num_saved)
        return status

    def acquire_adapters(self, adapters: Variant) -> None:
        self._adapters.acquire(adapters)

    def release_adapters(self, adapters: Variant) -> None:
        self._adapters.release(adapters)

    def create_sampler(self, sampling: SamplingParams) -> LlamaSampler:
        """Raises InvalidRequest for what this model cannot do, a grammar that cannot be honoured above all."""
        check_sampling(sampling, self.vocabulary.num_tokens)
        grammar = self.vocabulary.grammars.compile(sampling.grammar) if sampling.grammar is not None else None
        return LlamaSampler(sampling, self.vocabulary, window=self._options.context_tokens, grammar=grammar)

    def sample(self, row: int, sampler: Sampler) -> Sampled:
        return cast("LlamaSampler", sampler).sample(self._context, self._outputs[row])

    def logits(self, row: int) -> NDArray[np.float32]:
        pointer = llama_cpp.llama_get_logits_ith(self._context, self._outputs[row])
        return np.ctypeslib.as_array(pointer, (self.vocabulary.num_tokens,))

    # --- the KV memory ---------------------------------------------------------------------------------------------

    @property
    def shares_cells(self) -> bool:
        return self._memory.shares_cells

    @property
    def can_trim(self) -> bool:
        return self._memory.can_trim

    def trim(self, slot: int, length: int) -> bool:
        return self._memory.trim(slot, length)

    def copy(self, source: int, target: int, length: int) -> bool:
        return self._memory.copy(source, target, length)

    def clear(self, slot: int) -> None:
        self._memory.clear(slot)

    def save(self, slot: int) -> bytes | None:
        return self._memory.save(slot)

    def restore(self, slot: int, state: bytes) -> bool:
        return self._memory.restore(slot, state)

    def shift(self, slot: int, keep: int, discard: int) -> bool:
        return self._memory.shift(slot, keep, discard)


class LlamaLog:
    """llama.cpp's log: to stderr, and the last lines kept for reasons."""

    def __init__(self) -> None:
        self.lines = LoadLog()
        self.callback = llama_cpp.llama_log_callback(self._write)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.callback))  # C calls it for as long as the process lives
        llama_cpp.llama_log_set(self.callback, ctypes.c_void_p(0))

    def _write(self, level: int, text: bytes, _user_data: object) -> None:
        if level in {_LOG_DEBUG, _LOG_CONT}:
            return
        line = text.decode("utf-8", "replace")
        self.lines.add(line, is_problem=level > _LOG_INFO)
        sys.stderr.write(line)


def load_model(load: Load, on_progress: Callable[[float], None]) -> LlamaRunner:
    """Load a chat model. Raises as `load_any_model`, and LoadFailed for a model that does not write."""
    runner = load_any_model(load, on_progress)
    if isinstance(runner, LlamaRunner):
        return runner
    name = load.model_name or Path(load.model_path).stem
    raise LoadFailed(name, f"its kind is “{runner.info.kind}”, and it does not write.")


def load_any_model(load: Load, on_progress: Callable[[float], None]) -> LlamaRunner | LlamaEmbeddingRunner:
    """Load the GGUF and make its context, of the kind that the model was made for.

    Raises OutOfMemory, LoadFailed or UnsupportedModel, with reasons in words.
    """
    name = load.model_name or Path(load.model_path).stem
    log = LlamaLog()
    llama_cpp.llama_backend_init()
    options = settle_options(load.options)
    if options.kv_type != "f16" and options.flash_attention == "off":
        raise LoadFailed(
            name, f"a KV memory of type {options.kv_type} needs flash attention. Switch it on, or use f16."
        )
    model = llama_cpp.llama_model_load_from_file(load.model_path.encode(), _model_params(options, on_progress))
    if model is None:
        raise log.lines.explain(name)
    if log.lines.copies_weights:
        release_mapped_pages(load.model_path)
    if (pooling := find_pooling(model)) is not None:
        return load_embedding_runner(model, pooling, _describe(model, options, log), name, log)
    if llama_cpp.llama_model_has_encoder(model):
        raise LoadFailed(name, "it is not a chat model.")
    context = create_context(model, options)
    if context is None:
        raise log.lines.explain(name)
    if llama_cpp.llama_get_memory(context) is None:
        raise LoadFailed(name, "it is an embedding model, not a chat model.")
    _warm_up(model, context, name, log)
    draft_model = load_draft_model(model, options, log.lines, name) if options.draft_model_path else None
    return LlamaRunner(
        model,
        context,
        options,
        log,
        state_key=state_key(load, options),
        draft_model=draft_model,
        vision=load_vision(model, options, log.callback),
    )


def _describe(model: llama_cpp.llama_model_p, options: EngineOptions, log: LlamaLog) -> EngineInfo:
    buffer = ctypes.create_string_buffer(256)
    llama_cpp.llama_model_desc(model, buffer, len(buffer))
    return EngineInfo(
        description=buffer.value.decode("utf-8", "replace"),
        num_parameters=llama_cpp.llama_model_n_params(model),
        context_train=llama_cpp.llama_model_n_ctx_train(model),
        options=options,
        device=log.lines.device if options.gpu_layers else "CPU",
        has_chat_template=llama_cpp.llama_model_chat_template(model, None) is not None,
    )


def _model_params(options: EngineOptions, on_progress: Callable[[float], None]) -> llama_cpp.llama_model_params:
    def report(fraction: float, _user_data: object) -> bool:
        on_progress(fraction)
        return True

    params: llama_cpp.llama_model_params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = options.gpu_layers
    params.progress_callback = llama_cpp.llama_progress_callback(report)
    return params


def _warm_up(model: llama_cpp.llama_model_p, context: llama_cpp.llama_context_p, name: str, log: LlamaLog) -> None:
    """Compute one token and forget it, so that a compute buffer that does not fit shows now, not in an answer."""
    token = max(0, llama_cpp.llama_vocab_bos(llama_cpp.llama_model_get_vocab(model)))
    batch = llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(token), 1)
    if llama_cpp.llama_decode(context, batch) != 0:
        raise log.lines.explain(name)
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), False)

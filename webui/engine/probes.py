"""Probes: looks at a model that answers cannot give, for its examination.

They tell what the tokenizer makes of a text and back, what the chat template makes of a conversation, and how well the
logits foresee a text (with those counted that are no numbers), and how long a request's prompt is. It does not judge
what it finds. A probe that computes needs an engine that does nothing else.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui.engine.chunk import Chunk
from webui.engine.context_size import max_outputs
from webui.engine.intake import Intake, check_tokens
from webui.engine.protocol import (
    CountPrompt,
    Detokenize,
    Detokenized,
    Finding,
    PromptCount,
    Render,
    Rendered,
    Score,
    Scored,
    ShownPrompt,
    ShowPrompt,
    Tokenize,
    Tokenized,
    TokenizedText,
)
from webui.engine.runner import KvFull, Runner
from webui.engine.sequence import Sequence
from webui.errors import ContextTooLong, InvalidRequest, TemplateFailed

MAX_SCORED_TOKENS = 1024  #: nothing else happens while a text is scored


class Prober:
    """Answers the probes of one loaded model."""

    def __init__(self, runner: Runner, intake: Intake) -> None:
        self._runner = runner
        self._intake = intake

    def probe(self, asked: Tokenize | Detokenize | Render | CountPrompt | ShowPrompt | Score) -> Finding:
        """Raises InvalidRequest for what cannot be probed, and for prompts what an answer would be refused with.
        `Score` uses slot 0, which must be empty."""
        match asked:
            case CountPrompt(request=request):
                reading = self._intake.prepare(request, self._runner.info.options.context_tokens)
                return PromptCount(num_tokens=len(reading.tokens))
            case ShowPrompt(request=request):
                reading = self._intake.prepare(request, self._runner.info.options.context_tokens)
                said = b"".join(self._runner.vocabulary.shown_bytes(token) for token in reading.tokens)
                return ShownPrompt(text=said.decode("utf-8", "replace"), num_tokens=len(reading.tokens))
            case Tokenize(texts=texts, adds_bos=adds_bos):
                return Tokenized(texts=tuple(self._tokenize(text, adds_bos=adds_bos) for text in texts))
            case Detokenize(tokens=tokens):
                vocabulary = self._runner.vocabulary
                check_tokens(tokens, vocabulary.num_tokens)
                return Detokenized(pieces=tuple(vocabulary.shown_bytes(token) for token in tokens))
            case Render():
                return self._render(asked)
            case Score(text=text):
                return self._score(text)

    def _tokenize(self, text: str, *, adds_bos: bool) -> TokenizedText:
        vocabulary = self._runner.vocabulary
        tokens = vocabulary.tokenize((text,))
        num_bos = 0 if adds_bos else len(self._bos)
        tokens = tokens[num_bos:] if tokens[:num_bos] == self._bos[:num_bos] else tokens
        said = b"".join(vocabulary.token_bytes(token) for token in tokens)
        return TokenizedText(num_tokens=len(tokens), text=said, tokens=tuple(tokens))

    @property
    def _bos(self) -> list[int]:
        """What the tokenizer puts in front of everything; empty where the model wants nothing."""
        return self._runner.vocabulary.tokenize(("",))[:1]

    def _render(self, asked: Render) -> Rendered:
        try:
            text = self._intake.chat_format.render_raw(
                _read_json(asked.messages), _read_json(asked.tools), add_generation_prompt=asked.add_generation_prompt
            )
        except TemplateFailed as error:
            return Rendered(text=None, refusal=error.message)
        tokens = self._runner.vocabulary.tokenize((text,))
        bos = self._bos
        num_bos = next((at for at, token in enumerate(tokens) if [token] != bos), len(tokens))
        return Rendered(text=text, num_tokens=len(tokens), num_bos=num_bos)

    # --- how well it foresees a text -------------------------------------------------------------------------------

    def _score(self, text: str) -> Scored:
        tokens = self._runner.vocabulary.tokenize((text,))[:MAX_SCORED_TOKENS]
        options = self._runner.info.options
        if len(tokens) < 2:
            raise InvalidRequest("A text of two tokens at least is needed to be scored.")
        if len(tokens) > options.context_tokens:
            raise ContextTooLong(len(tokens), options.context_tokens)
        tally = _Tally()
        sequence = Sequence(0, tokens)
        step = min(max_outputs(options.num_slots), options.batch_tokens)
        try:
            for start in range(0, len(tokens) - 1, step):
                part = tokens[start : min(start + step, len(tokens) - 1)]
                self._runner.compute([Chunk(sequence, 0, start, part, len(part))], threads=options.threads)
                for row in range(len(part)):
                    tally.add(self._runner.logits(row), tokens[start + row + 1])
        except KvFull:
            raise InvalidRequest("There is no room in the KV memory to score a text.") from None
        finally:
            self._runner.clear(0)
        scored = b"".join(self._runner.vocabulary.token_bytes(token) for token in tokens[1:])
        return tally.scored(num_bytes=len(scored))


class _Tally:
    """Sums over the tokens of a text."""

    def __init__(self) -> None:
        self._num_tokens = self._num_nan = self._num_infinite = 0
        self._nats = self._entropy = 0.0

    def add(self, logits: NDArray[np.float32], following: int) -> None:
        """`following` is the token that really came after."""
        self._num_tokens += 1
        num_nan = int(np.isnan(logits).sum())
        # Minus infinity is what a model says of a token that it rules out; the other one is an overflow.
        num_infinite = int(np.isposinf(logits).sum())
        self._num_nan += num_nan
        self._num_infinite += num_infinite
        if num_nan or num_infinite:
            return
        shifted = logits.astype(np.float64) - float(logits.max())
        odds = np.exp(shifted)
        total = float(odds.sum())
        self._nats += math.log(total) - float(shifted[following])
        kept = odds > 0
        self._entropy += math.log(total) - float((odds[kept] * shifted[kept]).sum()) / total

    def scored(self, *, num_bytes: int) -> Scored:
        is_sound = not self._num_nan and not self._num_infinite
        return Scored(
            num_tokens=self._num_tokens,
            num_bytes=num_bytes,
            num_nan=self._num_nan,
            num_infinite=self._num_infinite,
            nats=self._nats if is_sound else None,
            entropy=self._entropy / self._num_tokens if is_sound else None,
        )


def _read_json(source: str) -> list[dict[str, Any]] | None:
    """Messages or tools as the template wants them; None for no text."""
    if not source:
        return None
    try:
        value = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("What the template is tried with is no JSON.") from error
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InvalidRequest("What the template is tried with must be a list of objects.")
    return value

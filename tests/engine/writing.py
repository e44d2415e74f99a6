"""An answer of the real model with nothing between its logits and the sampler: no loop, no scheduler, no text."""

from __future__ import annotations

from typing import Any

from tests.engine.prompt_text import texts
from webui.engine.chat_format import ChatFormat
from webui.engine.chunk import Chunk
from webui.engine.model_runner import LlamaRunner
from webui.engine.runner import Sampled
from webui.engine.sequence import Sequence
from webui.types import Message, SamplingParams


def prompt_tokens(runner: LlamaRunner, text: str) -> list[int]:
    vocabulary = runner.vocabulary
    chat_format = ChatFormat(vocabulary.chat_template, bos="", eos="", control_texts=vocabulary.control_texts)
    return vocabulary.tokenize(texts(chat_format.render((Message(role="user", content=text),))))


def write(
    runner: LlamaRunner, text: str, *, max_tokens: int = 24, thinks_for: int = 0, **sampling: Any
) -> list[Sampled]:
    """What is sampled for a question, the end token included. The first `thinks_for` tokens count as thinking."""
    sampler = runner.create_sampler(SamplingParams(**sampling))
    runner.clear(0)
    sequence = Sequence(0, prompt_tokens(runner, text))
    written: list[Sampled] = []
    try:
        while len(written) < max_tokens:
            if len(written) == thinks_for:
                sampler.begin_answer()
            start, tokens = sequence.num_computed_tokens, sequence.tokens[sequence.num_computed_tokens :]
            runner.compute([Chunk(sequence, 0, start, tokens, 1)], threads=1)
            sequence.num_computed_tokens += len(tokens)
            sampled = runner.sample(0, sampler)
            written.append(sampled)
            sequence.tokens.append(sampled.token)
            if runner.vocabulary.is_end(sampled.token):
                break
    finally:
        sampler.close()
    return written


def tokens_of(written: list[Sampled]) -> list[int]:
    return [sampled.token for sampled in written]


def text_of(runner: LlamaRunner, written: list[Sampled]) -> str:
    return b"".join(runner.vocabulary.token_bytes(sampled.token) for sampled in written).decode()


def is_finished(runner: LlamaRunner, written: list[Sampled]) -> bool:
    return runner.vocabulary.is_end(written[-1].token)

"""Looks at a model that answers cannot give: over the fake model, and over the real one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.engine.fake_runner import NUM_TOKENS, FakeRunner, FakeVocabulary, next_letter
from tests.engine.script import OPTIONS, Script, ask, play
from webui.engine.intake import Intake
from webui.engine.model_runner import LlamaRunner
from webui.engine.probes import Prober
from webui.engine.protocol import (
    CountPrompt,
    Detokenize,
    Detokenized,
    Finding,
    Probe,
    Probed,
    PromptCount,
    Render,
    Rendered,
    Score,
    Scored,
    Tokenize,
    Tokenized,
)
from webui.errors import ContextTooLong, EngineBusy, GlasshouseError, InvalidRequest
from webui.types import GenerationRequest

SYSTEM_AND_TOOLS = (
    "{% for message in messages %}{% if message.role == 'tool' %}{{ raise_exception('No tools here') }}{% endif %}"
    "[{{ message.role }}]{{ message.content }}{% endfor %}{% for tool in tools or [] %}({{ tool.name }}){% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def probe_fake(
    asked: Tokenize | Detokenize | Render | CountPrompt | Score, template: str | None = None
) -> Finding | GlasshouseError:
    """What the loop answers over the fake model."""
    vocabulary = FakeVocabulary()
    vocabulary.chat_template = template
    script = Script(Probe(request_id=7, asked=asked))
    runner = play(script, vocabulary=vocabulary)
    assert not runner.memory.get(0), "nothing is left in the slot"
    (answer,) = (report for report in script.reports if getattr(report, "request_id", None) == 7)
    return answer.finding if isinstance(answer, Probed) else answer.error  # type: ignore[union-attr]


def test_texts_come_back_as_the_tokenizer_says_them() -> None:
    found = probe_fake(Tokenize(texts=("größe", "")))
    assert isinstance(found, Tokenized)
    assert [(text.num_tokens, text.text.decode()) for text in found.texts] == [(5, "größe"), (0, "")]


def test_the_template_is_tried_as_it_is() -> None:
    messages = json.dumps([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    found = probe_fake(Render(messages=messages, tools=json.dumps([{"name": "clock"}])), SYSTEM_AND_TOOLS)
    assert isinstance(found, Rendered)
    assert found.text == "[system]Be brief.[user]Hi(clock)[assistant]"
    assert found.num_tokens == len(found.text)
    silent = probe_fake(Render(messages=messages, add_generation_prompt=False), SYSTEM_AND_TOOLS)
    assert isinstance(silent, Rendered) and silent.text == "[system]Be brief.[user]Hi"


def test_a_refusing_template_says_why() -> None:
    found = probe_fake(Render(messages='[{"role": "tool", "content": "12:00"}]'), SYSTEM_AND_TOOLS)
    assert isinstance(found, Rendered)
    assert found.text is None
    assert "No tools here" in found.refusal


@pytest.mark.parametrize("messages", ["{", "[1]", '{"role": "user"}'])
def test_what_is_no_list_of_messages_is_refused(messages: str) -> None:
    assert isinstance(probe_fake(Render(messages=messages)), InvalidRequest)


def test_a_score_is_the_sum_over_the_real_next_tokens() -> None:
    text = "abcdefgh" * 5  # longer than one batch has outputs
    found = probe_fake(Score(text=text))
    assert isinstance(found, Scored)
    normalizer = math.log(NUM_TOKENS - 1 + math.e)
    tokens = [ord(character) for character in text]
    hits = sum(next_letter(tokens[:end]) == tokens[end] for end in range(1, len(tokens)))
    assert found.num_tokens == found.num_bytes == len(text) - 1
    assert found.nats == pytest.approx((len(text) - 1) * normalizer - hits)
    assert found.entropy == pytest.approx(normalizer - math.e / (NUM_TOKENS - 1 + math.e))


def test_texts_that_cannot_be_scored_are_refused() -> None:
    assert isinstance(probe_fake(Score(text="a")), InvalidRequest)
    assert isinstance(probe_fake(Score(text="a" * (OPTIONS.context_tokens + 1))), ContextTooLong)


def test_numbers_that_are_none_are_counted() -> None:
    class Broken(FakeRunner):
        def logits(self, row: int) -> np.ndarray:
            logits = super().logits(row)
            logits[5:8] = [np.nan, np.inf, -np.inf]
            return logits

    runner = Broken(OPTIONS)
    found = Prober(runner, Intake(runner.vocabulary)).probe(Score(text="abc"))
    assert found == Scored(num_tokens=2, num_bytes=2, num_nan=2, num_infinite=2, nats=None, entropy=None)


def test_nobody_waits_for_a_probe() -> None:
    script = Script(ask(1), Probe(request_id=2, asked=Score(text="abc")))
    play(script)
    assert isinstance(script.failure(2).error, EngineBusy)
    assert script.end(1).reason == "length"


def test_the_length_of_a_prompt_is_told_at_any_time() -> None:
    script = Script(ask(1), Probe(request_id=2, asked=CountPrompt(request=ask(3).request)))
    play(script)
    [counted] = [report.finding for report in script.reports if isinstance(report, Probed)]
    assert counted == PromptCount(num_tokens=script.end(1).usage.prompt_tokens)


def test_a_raw_prompt_is_read_as_it_is() -> None:
    def count(prompt: str | tuple[int, ...]) -> Finding | GlasshouseError:
        return probe_fake(CountPrompt(request=GenerationRequest(messages=(), prompt=prompt)))

    assert count("abcde") == count((1, 2, 3, 4, 5)) == PromptCount(num_tokens=5)
    assert isinstance(count((1, NUM_TOKENS)), InvalidRequest)
    assert isinstance(count(""), InvalidRequest)


def test_tokens_and_their_text() -> None:
    told = probe_fake(Tokenize(texts=("abc",)))
    assert isinstance(told, Tokenized)
    assert told.texts[0].tokens == tuple(map(ord, "abc"))
    assert probe_fake(Detokenize(tokens=told.texts[0].tokens)) == Detokenized(pieces=(b"a", b"b", b"c"))
    assert isinstance(probe_fake(Detokenize(tokens=(NUM_TOKENS,))), InvalidRequest)


def test_the_starter_model_foresees_plain_words_and_tells_its_tokens(starter_runner: LlamaRunner) -> None:
    starter_runner.clear(0)  # other tests use it, too
    prober = Prober(starter_runner, Intake(starter_runner.vocabulary))
    words = prober.probe(Score(text="The sun rises in the east and sets in the west."))
    noise = prober.probe(Score(text="qz wvx jjk zzp vvq xkcd wqj ppz vbn mlk tgb yhn"))
    assert isinstance(words, Scored) and isinstance(noise, Scored)
    assert words.nats is not None and noise.nats is not None
    assert words.nats / words.num_bytes < 0.6, "nats a byte"
    assert noise.nats / noise.num_bytes > 1.5
    rendered = prober.probe(Render(messages='[{"role": "user", "content": "Hi"}]'))
    assert isinstance(rendered, Rendered) and rendered.text is not None
    assert rendered.text.endswith("<|im_start|>assistant\n")
    assert rendered.num_bos <= 1

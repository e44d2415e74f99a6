"""What goes between the page and the application as plain values: no browser needed."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from webui.errors import ModelTooBig
from webui.library.memory_fit import FitPlan
from webui.types import EngineInfo, EngineOptions, Gpu, Memory, ModelFile, ModelStatus, SamplingParams
from webui.ui.model_view import device_words, format_tokens, plan_words, view_model, view_status
from webui.ui.sampling_input import read_count, read_sampling

GPU = Gpu(name="NVIDIA L4", total_bytes=24 * 10**9, free_bytes=20 * 10**9)
MEMORY = Memory(ram_total=64 * 10**9, ram_free=40 * 10**9, gpus=(GPU,))
MODEL = ModelFile(id="m", name="Model", path=Path("/models/m.gguf"), size_bytes=10**9, source="local")


def make_plan(*, vram: int = 0) -> FitPlan:
    options = EngineOptions(context_tokens=8192, kv_tokens=8192, num_slots=4)
    return FitPlan(options, weights_bytes=0, kv_bytes=0, compute_bytes=0, ram_needed=585 * 10**6, vram_needed=vram)


def test_a_browser_cannot_send_sampling_that_makes_no_sense() -> None:
    sent = {"temperature": 99, "top_p": -1, "top_k": 1e9, "min_p": "x", "repeat_penalty": math.nan, "seed": True}
    assert read_sampling(sent) == SamplingParams(temperature=2.0, top_p=0.0, top_k=1000)
    assert read_sampling({}) == SamplingParams()


@pytest.mark.parametrize(("sent", "read"), [(None, None), ("12", None), (12.6, 13), (-3, 1), (math.inf, None)])
def test_counts_are_whole_and_not_too_small(sent: object, read: int | None) -> None:
    assert read_count(sent, at_least=1) == read


def test_a_card_says_whether_the_model_fits() -> None:
    assert view_model(MODEL, make_plan())["fit"] == {"isTooBig": False, "needed": 585 * 10**6, "free": 0}
    assert view_model(MODEL, ModelTooBig("Model", 45, 15))["fit"] == {"isTooBig": True, "needed": 45, "free": 15}
    assert view_model(MODEL)["fit"] is None
    assert view_model(MODEL)["canDelete"] is True


def test_a_plan_in_words_names_the_memory_that_it_takes() -> None:
    assert plan_words(make_plan(), MEMORY) == "8k context · needs up to 585 MB of memory (40.0 GB free)"
    assert plan_words(make_plan(vram=9 * 10**9), MEMORY) == (
        "8k context · needs up to 585 MB of memory (40.0 GB free) and 9.0 GB of VRAM (20.0 GB free)"
    )
    assert "too big" in plan_words(ModelTooBig("Model", 45, 15), MEMORY)


@pytest.mark.parametrize(("has_template", "said"), [(True, False), (False, True)])
def test_a_model_without_a_usable_template_says_what_stands_in(has_template: bool, said: bool) -> None:
    info = EngineInfo(
        description="", num_parameters=1, context_train=8192, options=make_plan().options, device="CPU",
        has_chat_template=has_template,
    )  # fmt: skip
    words = view_status(ModelStatus(state="ready", model=MODEL, info=info))["text"]
    assert words.startswith("Running on CPU · 8k context")
    assert ("ChatML stands in" in words) is said


def test_a_context_that_could_not_be_had_is_told_where_the_model_runs() -> None:
    info = EngineInfo(
        description="", num_parameters=1, context_train=8192, options=make_plan().options, device="CPU",
        has_chat_template=True,
    )  # fmt: skip
    words = view_status(ModelStatus(state="ready", model=MODEL, info=info, note="8,192 instead of 100,000"))["text"]
    assert words == "Running on CPU · 8,192 instead of 100,000"


def test_it_is_said_why_the_processor_does_all_the_work() -> None:
    assert device_words(Memory(ram_total=1, ram_free=1), has_gpu_backend=True) == "CPU only · no NVIDIA GPU found"
    assert "built without GPU support" in device_words(MEMORY, has_gpu_backend=False)
    assert device_words(MEMORY, has_gpu_backend=True) == ""


@pytest.mark.parametrize(("count", "words"), [(8192, "8k"), (131072, "128k"), (1500, "1,500"), (256, "256")])
def test_tokens_read_as_people_write_them(count: int, words: str) -> None:
    assert format_tokens(count) == words

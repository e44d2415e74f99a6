"""A merged model answers as the model does with the adapters over it, computed by the engine itself."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import quants
from numpy.typing import NDArray

from tests.engine.test_adapters import logits, write_adapter
from tests.engine.tiny_models import NUM_TOKENS, WIDE, WIDTH, write_tiny_model
from tests.workbench.model_files import Logits, cosine, floats_of, metadata, tensor_types
from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Load
from webui.errors import UnusableAdapter
from webui.library.ggml_types import TENSOR_TYPES
from webui.types import EngineOptions, LoraAdapter
from webui.workbench import ggml_rows, merge_adapters
from webui.workbench.dispatch import run_request
from webui.workbench.protocol import Estimate, Estimates, MergeAdapters, Quantize, Written

Floats = NDArray[np.float64]

RANK = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("merge")


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    return write_tiny_model(folder, "llama")


@pytest.fixture(scope="module")
def adapters(folder: Path) -> tuple[LoraAdapter, ...]:
    first = write_adapter(folder / "first.gguf", seed=1, alpha=8.0)
    second = write_adapter(folder / "second.gguf", seed=2, alpha=0.0)  # 0: the scale stands alone
    return (LoraAdapter(path=str(first), scale=0.7), LoraAdapter(path=str(second), scale=-0.25))


def runner_of(path: Path) -> LlamaRunner:
    options = EngineOptions(context_tokens=256, kv_tokens=256, num_slots=1, threads=1, flash_attention="off")
    runner = load_model(Load(model_path=str(path), options=options), lambda _fraction: None)
    assert isinstance(runner, LlamaRunner)
    return runner


def logits_of(path: Path, *adapters: LoraAdapter) -> Logits:
    return logits(runner_of(path), adapters)


def order(base: Path, folder: Path, *adapters: LoraAdapter, precision: str = "f16") -> MergeAdapters:
    return MergeAdapters(
        source=str(base),
        output_dir=str(folder),
        file_name="Merged.gguf",
        adapters=adapters,
        precision=precision,  # type: ignore[arg-type]
    )


def merge(base: Path, folder: Path, *adapters: LoraAdapter, precision: str = "f16") -> Path:
    request = order(base, folder, *adapters, precision=precision)
    expected = run_request(Estimate(of=(request,)), lambda _, __: None)
    written = run_request(request, lambda _, __: None)
    assert isinstance(expected, Estimates) and isinstance(written, Written)
    assert expected.items[0].size_bytes == written.size_bytes
    return folder / written.file_names[0]


def write_lora(path: Path, architecture: str, **pairs: tuple[Floats, Floats]) -> LoraAdapter:
    """Of any tensors: `{"blk.0.attn_q.weight": (a, b)}`."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0)
    for name, (a, b) in pairs.items():
        writer.add_tensor(f"{name}.lora_a", a.astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", b.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return LoraAdapter(path=str(path))


# --- the same answers ----------------------------------------------------------------------------------------------


def test_two_adapters_with_scales_merged_are_the_two_applied(
    base: Path, adapters: tuple[LoraAdapter, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge_adapters, "_CHUNK_ELEMENTS", 5 * WIDTH)  # five rows at a time, and a rest
    merged = merge(base, tmp_path, *adapters)
    applied = logits_of(base, *adapters)
    assert np.abs(applied - logits_of(base)).max() > 0.1, "they change the model"
    assert np.allclose(logits_of(merged), applied, atol=2e-4)
    assert metadata(merged) == metadata(base)
    assert tensor_types(merged) == tensor_types(base)


def test_embeddings_and_experts_are_changed_in_their_own_ways(tmp_path: Path) -> None:
    base = write_tiny_model(tmp_path, "gpt-oss")
    random = np.random.default_rng(5)
    lora = write_lora(
        tmp_path / "lora.gguf",
        "gpt-oss",
        **{
            "token_embd.weight": (random.standard_normal((NUM_TOKENS, RANK)), random.standard_normal((WIDTH, RANK))),
            "blk.0.ffn_up_exps.weight": (
                random.standard_normal((4, RANK, WIDTH)) / 4,
                random.standard_normal((4, WIDE, RANK)) / 4,
            ),
            "blk.1.ffn_down_exps.weight": (
                random.standard_normal((4, RANK, WIDE)) / 4,
                random.standard_normal((4, WIDTH, RANK)) / 4,
            ),
        },
    )
    applied = logits_of(base, lora)
    assert np.abs(applied - logits_of(base)).max() > 0.1
    assert np.allclose(logits_of(merge(base, tmp_path, lora)), applied, atol=1e-3)


def test_a_quantized_model_gets_16_bits_where_it_changes_or_keeps_its_type(
    base: Path, adapters: tuple[LoraAdapter, ...], tmp_path: Path
) -> None:
    quantize = Quantize(source=str(base), output_dir=str(tmp_path), file_name="Q8.gguf", file_type="Q8_0")
    run_request(quantize, lambda _, __: None)
    small = tmp_path / "Q8.gguf"
    name = "blk.0.attn_q.weight"
    change = floats_of(merge(base, tmp_path, *adapters).rename(tmp_path / "f32.gguf"), name) - floats_of(base, name)
    merged = merge(small, tmp_path, *adapters).rename(tmp_path / "f16.gguf")
    kept = merge(small, tmp_path, *adapters, precision="keep")
    assert (tensor_types(merged)[name], tensor_types(merged)["blk.0.attn_k.weight"]) == ("F16", "Q8_0")
    assert tensor_types(kept) == tensor_types(small)
    expected = floats_of(small, name) + change
    assert np.abs(floats_of(merged, name) - expected).max() < 1e-3 * np.abs(expected).max()
    assert np.abs(floats_of(kept, name) - expected).max() < 5e-3 * np.abs(expected).max()
    assert cosine(logits_of(merged), logits_of(small, *adapters)) > 0.99


@pytest.mark.parametrize("kind", [kind for kind in TENSOR_TYPES if ggml_rows.can_quantize(kind)])
def test_rows_are_turned_into_floats_and_back_as_llama_cpps_package_does(kind: int) -> None:
    values = np.random.default_rng(2).standard_normal((3, 512)).astype(np.float32)
    data = ggml_rows.quantize(values, kind)
    floats = ggml_rows.dequantize(data, kind)
    raw = np.frombuffer(data, dtype=np.uint8).reshape(3, -1)
    expected = quants.dequantize(raw, gguf.GGMLQuantizationType(kind))
    assert np.allclose(floats.reshape(3, 512), expected, atol=1e-6)
    assert cosine(values, floats) > 0.9


# --- what cannot be merged -----------------------------------------------------------------------------------------


def refusal(base: Path, folder: Path, adapter: LoraAdapter) -> str:
    with pytest.raises(UnusableAdapter) as caught:
        merge(base, folder, adapter)
    (folder / "Merged.gguf").unlink(missing_ok=True)
    return str(caught.value)


def test_an_adapter_of_another_model_is_refused_in_the_engines_words(base: Path, tmp_path: Path) -> None:
    def of(name: str, **options: object) -> LoraAdapter:
        return LoraAdapter(path=str(write_adapter(tmp_path / f"{name}.gguf", **options)))  # type: ignore[arg-type]

    for name, options, words in (
        ("other", {"architecture": "qwen2"}, "was made for a model of another architecture"),
        ("wide", {"width": 96}, "another size (“blk.0.attn_q.weight”)"),
        ("deep", {"num_layers": 9}, "it changes “blk.4.attn_q.weight”, which the model does not have"),
    ):
        adapter = of(name, **options)
        assert words in refusal(base, tmp_path, adapter)
        with pytest.raises(UnusableAdapter) as caught:
            runner_of(base).acquire_adapters((adapter,))
        assert words.partition("(")[0] in str(caught.value)


def test_what_is_no_lora_is_refused(base: Path, tmp_path: Path) -> None:
    assert "it is not a LoRA" in refusal(base, tmp_path, LoraAdapter(path=str(base)))
    nothing = np.full((WIDTH, RANK), np.nan)
    broken = write_lora(tmp_path / "nan.gguf", "llama", **{"blk.0.attn_output.weight": (nothing.T, nothing)})
    assert "numbers that are none" in refusal(base, tmp_path, broken)
    one = np.ones((WIDTH, RANK))
    strong = write_lora(tmp_path / "strong.gguf", "llama", **{"blk.0.attn_output.weight": (one.T * 1e30, one * 1e30)})
    assert "beyond all numbers" in refusal(base, tmp_path, strong)


def test_half_a_pair_is_refused(base: Path, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "half.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((4, WIDTH), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "half of" in refusal(base, tmp_path, LoraAdapter(path=str(tmp_path / "half.gguf")))

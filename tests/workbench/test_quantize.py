"""Quantizing with llama.cpp: exact sizes first, words for what it refuses, numbers that stay close."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from tests.workbench.model_files import cosine, floats_of, tensor_types, write_imatrix, write_wide_model
from webui.errors import AlreadyQuantized, DiskFull, ImatrixNeeded, InvalidRequest
from webui.library.gguf import read_header
from webui.library.gguf_file import parse_gguf_file
from webui.library.quantizations import QUANTIZATIONS, find_quantization
from webui.workbench.dispatch import run_request
from webui.workbench.protocol import Estimate, Estimated, Estimates, Quantize, Split, Written

TENSOR = "blk.0.ffn_up.weight"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wide_model(tmp_path_factory.mktemp("models") / "Wide-F16.gguf")


@pytest.fixture(scope="module")
def imatrix(model: Path) -> Path:
    return write_imatrix(model.with_name("imatrix.gguf"), model)


def order(model: Path, folder: Path, file_type: str, *, imatrix: Path | None = None, **options: object) -> Quantize:
    return Quantize(
        source=str(model),
        output_dir=str(folder),
        file_name="New.gguf",
        file_type=file_type,
        imatrix=str(imatrix) if imatrix else None,
        **options,  # type: ignore[arg-type]
    )


def quantize(model: Path, folder: Path, file_type: str, *, imatrix: Path | None = None, **options: object) -> Path:
    written = run_request(order(model, folder, file_type, imatrix=imatrix, **options), lambda _, __: None)
    assert isinstance(written, Written)
    path = folder / written.file_names[0]
    assert path.stat().st_size == written.size_bytes
    return path


def estimate(*orders: Quantize) -> tuple[Estimated, ...]:
    outcome = run_request(Estimate(of=orders), lambda _, __: None)
    assert isinstance(outcome, Estimates)
    return outcome.items


def test_every_type_on_the_list_is_one_that_llama_cpp_writes(model: Path, imatrix: Path, tmp_path: Path) -> None:
    names = [each.name for each in QUANTIZATIONS]
    for given in (None, imatrix):
        estimates = estimate(*(order(model, tmp_path, name, imatrix=given) for name in names))
        assert {name: each.problem for name, each in zip(names, estimates, strict=True) if each.problem} == {}
        wants = {name for name, each in zip(names, estimates, strict=True) if each.needs_imatrix}
        assert wants == ({each.name for each in QUANTIZATIONS if each.needs_imatrix} if given is None else set())


@pytest.mark.parametrize("name", ["F32", "BF16", "Q8_0", "Q5_1", "MXFP4_MOE", "Q4_K_M", "Q3_K_L", "Q2_0", "IQ3_XS"])
def test_the_file_is_as_large_as_was_said_and_tells_what_it_told(
    model: Path, imatrix: Path, tmp_path: Path, name: str
) -> None:
    (expected,) = estimate(order(model, tmp_path, name, imatrix=imatrix))
    path = quantize(model, tmp_path, name, imatrix=imatrix)
    assert path.stat().st_size == expected.size_bytes
    assert read_header(path).quantization == name.removesuffix("_MOE")
    told, quantized = parse_gguf_file(path).metadata, find_quantization(name)
    assert quantized is not None
    changed = {"general.file_type": quantized.file_type, "general.quantization_version": 2}
    assert told == parse_gguf_file(model).metadata | changed


def test_more_bits_are_closer_to_the_original(model: Path, tmp_path: Path) -> None:
    original = floats_of(model, TENSOR)
    similar = []
    for name in ("Q2_K", "Q4_K_M", "Q8_0"):
        path = quantize(model, tmp_path, name)
        similar.append(cosine(original, floats_of(path, TENSOR)))
        path.unlink()
    assert similar == sorted(similar)
    assert similar[0] > 0.9 and similar[-1] > 0.9999


def test_llama_cpp_mixes_types_as_it_sees_fit(model: Path, tmp_path: Path) -> None:
    types = tensor_types(quantize(model, tmp_path, "q4_k_m"))
    assert types["blk.0.ffn_up.weight"] == "Q4_K"
    assert types["output.weight"] == types["blk.0.attn_v.weight"] == "Q6_K"
    assert types["blk.0.attn_norm.weight"] == "F32"


def test_what_is_quantized_is_quantized_again_only_when_that_is_allowed(model: Path, tmp_path: Path) -> None:
    small = quantize(model, tmp_path, "Q4_0").rename(tmp_path / "Wide-Q4_0.gguf")
    assert estimate(order(small, tmp_path, "Q5_K_M"))[0].is_requantizing
    with pytest.raises(AlreadyQuantized, match=r"Wide-Q4_0.gguf is quantized already \(Q4_0\)"):
        quantize(small, tmp_path, "Q5_K_M")
    assert tensor_types(quantize(small, tmp_path, "Q5_K_M", allow_requantize=True))[TENSOR] == "Q5_K"


def test_from_8_bits_it_goes_without_asking(model: Path, tmp_path: Path) -> None:
    large = quantize(model, tmp_path, "Q8_0").rename(tmp_path / "Wide-Q8_0.gguf")
    assert not estimate(order(large, tmp_path, "Q4_K_M"))[0].is_requantizing
    assert tensor_types(quantize(large, tmp_path, "Q4_K_M"))[TENSOR] == "Q4_K"


def test_the_smallest_types_need_an_importance_matrix_and_heed_it(model: Path, imatrix: Path, tmp_path: Path) -> None:
    with pytest.raises(ImatrixNeeded, match="IQ2_XXS is so small"):
        quantize(model, tmp_path, "IQ2_XXS")
    plain = floats_of(quantize(model, tmp_path, "Q3_K_M").rename(tmp_path / "plain.gguf"), TENSOR)
    heeded = floats_of(quantize(model, tmp_path, "Q3_K_M", imatrix=imatrix), TENSOR)
    assert cosine(plain, heeded) < 1 and (plain != heeded).any()


def test_a_matrix_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="its sizes are others"):
        quantize(model, tmp_path, "IQ2_XXS", imatrix=write_imatrix(tmp_path / "other.gguf", model, damaged=True))
    with pytest.raises(InvalidRequest, match="is not an importance matrix"):
        quantize(model, tmp_path, "IQ2_XXS", imatrix=model)


def test_a_model_in_parts_with_another_alignment_becomes_one_file(tmp_path: Path) -> None:
    model = write_wide_model(tmp_path / "Aligned.gguf", alignment=128)
    request = Split(source=str(model), output_dir=str(tmp_path), file_name="Part.gguf", max_part_bytes=300_000)
    parts = run_request(request, lambda _, __: None)
    assert isinstance(parts, Written)
    first = tmp_path / parts.file_names[0]
    (expected,) = estimate(order(first, tmp_path, "Q4_K_M"))
    path = quantize(first, tmp_path, "Q4_K_M")
    assert path.stat().st_size == expected.size_bytes
    assert tensor_types(path)["output.weight"] == "Q6_K"
    assert gguf.GGUFReader(path).alignment == 32
    assert cosine(floats_of(path, TENSOR), floats_of(model, TENSOR)) > 0.99


def test_a_full_disk_is_said_before_a_byte_is_written(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DiskFull):
        quantize(model, tmp_path, "Q4_K_M", keep_free_bytes=1 << 60)
    assert not list(tmp_path.iterdir())


def test_names_are_found_whatever_the_case() -> None:
    assert [find_quantization(name) for name in ("q4_k", "Q4_K_M ", "Q9")][2] is None
    assert find_quantization("q4_k") is find_quantization("Q4_K_M") is not None

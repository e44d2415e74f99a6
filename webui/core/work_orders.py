"""What people ask of the workbench, in names, and what that means in files.

A name is looked up in the catalog and is never a path; a result gets a name that is free, proposed where none is given,
and lies in the models folder. What the files themselves allow is for the workbench process to say, which opens them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypedDict

import msgspec
from msgspec import structs

from webui.core.adapters import AdapterChoice, find_adapters
from webui.errors import FileExists, InvalidRequest, UnknownQuantization
from webui.library.catalog import Catalog
from webui.library.hardware import count_physical_cores
from webui.library.model_names import without_quantization
from webui.library.part_file import checked_file_name
from webui.library.quantizations import find_quantization
from webui.library.split import split_name
from webui.library.uploads import FREE_MARGIN_BYTES
from webui.types import ModelFile, Value
from webui.workbench.protocol import (
    AnyFileRequest,
    EditMetadata,
    Join,
    MergeAdapters,
    Precision,
    Quantize,
    Scalar,
    Split,
)

DEFAULT_PART_BYTES = 4_000_000_000  #: below the 4 GiB that FAT and some hosts take
SMALLEST_PART_BYTES = 1_000_000
_MAX_STEM = 150


class FileOrder(Value, frozen=True):
    """Base: make a model file from `model` (an id, file name or name). `result` is the wished file name."""

    model: str
    result: str | None = None


class QuantizeOrder(FileOrder, frozen=True, kw_only=True):
    file_type: str  #: a name of `library/quantizations`
    allow_requantize: bool = False
    imatrix: str | None = None  #: a GGUF in the model folders, by name


class MergeOrder(FileOrder, frozen=True, kw_only=True):
    adapters: tuple[AdapterChoice, ...]
    precision: Precision = "f16"


class SplitOrder(FileOrder, frozen=True, kw_only=True):
    max_part_bytes: int = DEFAULT_PART_BYTES


class JoinOrder(FileOrder, frozen=True, kw_only=True):
    pass


class EditOrder(FileOrder, frozen=True, kw_only=True):
    """`name` and `chat_template` are what they say; `values` and `removed` are keys of the metadata."""

    name: str | None = None
    chat_template: str | None = None
    values: dict[str, Scalar] = msgspec.field(default_factory=dict)
    removed: tuple[str, ...] = ()


class _Files(TypedDict):
    """What every request for a file has."""

    source: str
    output_dir: str
    keep_free_bytes: int


class OrderDesk:
    """Turns orders into requests."""

    def __init__(self, catalog: Callable[[], Catalog], models_dir: Path) -> None:
        self._catalog = catalog
        self._models_dir = models_dir

    async def prepare(self, order: FileOrder, taken: Collection[str]) -> tuple[AnyFileRequest, str, str]:
        """The request (its `output_dir` still empty), a title for people, and the model's id. `taken`: names that
        unfinished jobs will give."""
        model = await self._catalog().find(order.model)
        request, title = await self._translate(order, model)
        wished = checked_file_name(_with_suffix(order.result)) if order.result else None
        name = await asyncio.to_thread(self._free_name, wished, request, taken)
        return structs.replace(request, file_name=name), title, model.id

    async def _translate(self, order: FileOrder, model: ModelFile) -> tuple[AnyFileRequest, str]:
        """Its `file_name` is a proposal."""
        stem = _stem(model.path)
        files = _Files(source=str(model.path), output_dir="", keep_free_bytes=FREE_MARGIN_BYTES)
        match order:
            case QuantizeOrder():
                return await self._quantize(order, model, stem, files)
            case MergeOrder():
                adapters = await find_adapters(self._catalog(), order.adapters)
                if not adapters:
                    raise InvalidRequest("Choose at least one adapter, with a scale that is not 0.")
                names = " + ".join(Path(each.path).stem for each in adapters)
                merge = MergeAdapters(
                    **files, file_name=f"{stem}-merged.gguf", adapters=adapters, precision=order.precision
                )
                return merge, f"{model.name} + {names}"
            case SplitOrder():
                if order.max_part_bytes < SMALLEST_PART_BYTES:
                    raise InvalidRequest("A part must have room for at least 1 MB.")
                split = Split(**files, file_name=f"{stem}-split.gguf", max_part_bytes=order.max_part_bytes)
                return split, f"{model.name} → parts"
            case JoinOrder():
                return Join(**files, file_name=f"{stem}-joined.gguf"), f"{model.name} → one file"
            case EditOrder():
                return _edit(order, stem, files), f"{model.name} → other metadata"
        raise InvalidRequest(f"There is no job of the kind {type(order).__name__}.")

    async def _quantize(
        self, order: QuantizeOrder, model: ModelFile, stem: str, files: _Files
    ) -> tuple[AnyFileRequest, str]:
        quantization = find_quantization(order.file_type)
        if quantization is None:
            raise UnknownQuantization(order.file_type[:100])
        imatrix = (await self._catalog().find(order.imatrix)).path if order.imatrix else None
        request = Quantize(
            **files,
            file_name=f"{without_quantization(stem)}-{quantization.name}.gguf",
            file_type=quantization.name,
            allow_requantize=order.allow_requantize,
            imatrix=str(imatrix) if imatrix else None,
            threads=max(1, count_physical_cores() - 1),
        )
        return request, f"{model.name} → {quantization.name}"

    def _free_name(self, wished: str | None, request: AnyFileRequest, taken: Collection[str]) -> str:
        """The wished name or FileExists; a proposed one gets a number until it is free."""
        is_folder = isinstance(request, Split)
        if wished is not None:
            if self._is_taken(wished, taken, is_folder=is_folder):
                raise FileExists(wished)
            return wished
        stem = request.file_name.removesuffix(".gguf")[:_MAX_STEM]
        names = [f"{stem}.gguf", *(f"{stem}-{number}.gguf" for number in range(2, 1000))]
        return checked_file_name(
            next((name for name in names if not self._is_taken(name, taken, is_folder=is_folder)), names[-1])
        )

    def _is_taken(self, name: str, taken: Collection[str], *, is_folder: bool) -> bool:
        name = name.removesuffix(".gguf") if is_folder else name
        path = self._models_dir / name
        if is_folder and path.is_dir():
            return any(path.iterdir())
        return name in taken or path.exists()


def _edit(order: EditOrder, stem: str, files: _Files) -> EditMetadata:
    values = dict(order.values)
    if order.name is not None:
        values["general.name"] = order.name
    if order.chat_template is not None:
        values["tokenizer.chat_template"] = order.chat_template
    if not values and not order.removed:
        raise InvalidRequest("Say what is to be changed: a name, a chat template, or keys of the metadata.")
    return EditMetadata(
        **files,
        file_name=f"{stem}-edited.gguf",
        values=values,
        removed=order.removed,
    )


def _stem(path: Path) -> str:
    """The file name without its ending, and without the number of a part."""
    split = split_name(path.name)
    return split[0] if split else path.name[: -len(".gguf")]


def _with_suffix(name: str) -> str:
    return name if name.lower().endswith(".gguf") else f"{name}.gguf"

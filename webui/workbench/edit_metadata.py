"""Copies a model with other metadata. Keys of simple types only; tensors and lists are copied byte by byte.

What tells how the file itself is built cannot be edited.
"""

from __future__ import annotations

import re
from pathlib import Path

from webui.errors import CannotEdit
from webui.workbench.checked_writing import write_checked
from webui.workbench.gguf_layout import ALIGNMENT_KEY, SPLIT_KEYS, Entry, read_layout
from webui.workbench.gguf_output import FilePlan, NewTensor
from webui.workbench.metadata_values import UnfitValue, kind_of, natural_kind, pack
from webui.workbench.protocol import EditMetadata, ReportProgress, Scalar, Written

_PROTECTED = {ALIGNMENT_KEY, *SPLIT_KEYS, "general.architecture", "general.quantization_version"}
_KEY = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_MAX_KEY = 200
_MAX_TEXT_BYTES = 1 << 20  #: what the library's reader keeps of a text


def plan(request: EditMetadata) -> dict[str, FilePlan]:
    """Raises CannotEdit."""
    layout = read_layout(Path(request.source))
    for key in (*request.values, *request.removed):
        _check_key(key)
    known = {entry.key: entry for entry in layout.entries}
    for key in request.removed:
        if key not in known or key in request.values:
            raise CannotEdit(key, "it is to be set and removed" if key in known else "the file does not have it")
    changed = {key: _new_entry(key, value, known.get(key)) for key, value in request.values.items()}
    entries = [changed.pop(entry.key, entry) for entry in layout.entries if entry.key not in request.removed]
    tensors = [NewTensor.copy_of(tensor) for tensor in layout.tensors]
    return {request.file_name: FilePlan([*entries, *changed.values()], tensors, layout.alignment)}


def run(request: EditMetadata, report: ReportProgress) -> Written:
    return write_checked(plan(request), request, report)


def _check_key(key: str) -> None:
    if key in _PROTECTED:
        raise CannotEdit(key, "it says how the file is built")
    if len(key) > _MAX_KEY or not _KEY.fullmatch(key):
        raise CannotEdit(key[:_MAX_KEY], "keys are words of letters, digits, “_” and “-” with dots between them")


def _new_entry(key: str, value: Scalar, known: Entry | None) -> Entry:
    """A key that is there keeps its type."""
    if isinstance(value, str) and len(value.encode("utf-8", "replace")) > _MAX_TEXT_BYTES:
        raise CannotEdit(key, "the text is longer than 1 MB")
    try:
        return Entry(key, pack(value, natural_kind(value) if known is None else kind_of(known)))
    except UnfitValue as error:
        raise CannotEdit(key, str(error)) from None

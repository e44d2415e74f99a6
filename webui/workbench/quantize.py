"""Quantizes a model with llama.cpp. What it would write is asked first and is exact; what was written is checked.

From F16, BF16, F32 and Q8_0; from smaller types only where that is allowed expressly, since each quantization loses
something more. It does not know how llama.cpp is called.
"""

from __future__ import annotations

import os
from pathlib import Path

from webui.errors import AlreadyQuantized, ImatrixNeeded, InvalidRequest, UnknownQuantization, WorkFailed
from webui.library.ggml_types import TENSOR_TYPES
from webui.library.gguf import read_header
from webui.library.quantizations import find_quantization
from webui.workbench.gguf_layout import ALIGNMENT_KEY, DEFAULT_ALIGNMENT, Entry, Layout, read_layout
from webui.workbench.gguf_output import FilePlan, NewTensor, ensure_space
from webui.workbench.imatrix import Importance, read_imatrix
from webui.workbench.llama_quantize import QuantizeCall, call_quantize
from webui.workbench.metadata_values import U32, pack
from webui.workbench.protocol import Estimated, Quantize, ReportProgress, Written

_NUMBERS = {tensor_type.name.upper(): number for number, tensor_type in TENSOR_TYPES.items()}
_LOSSLESS = {_NUMBERS[name] for name in ("F64", "F32", "F16", "BF16", "Q8_0", "I8", "I16", "I32", "I64")}  #: or nearly
_WRITTEN_KEYS = ("general.quantization_version", "general.file_type")


def estimate(request: Quantize, layout: Layout) -> Estimated:
    """The size of the file to the byte, and what would keep llama.cpp from writing it. `layout` is the source's."""
    importance, _ = _read_importance(request, layout)
    plan, needs_imatrix = _dry_run(request, layout, importance)
    return Estimated(size_bytes=plan.size_bytes, is_requantizing=_is_quantized(layout), needs_imatrix=needs_imatrix)


def run(request: Quantize, report: ReportProgress) -> Written:
    """Raises AlreadyQuantized, ImatrixNeeded, DiskFull, InvalidRequest (an importance matrix that does not go with the
    model) or WorkFailed with llama.cpp's reason."""
    source = Path(request.source)
    layout = read_layout(source)
    if _is_quantized(layout) and not request.allow_requantize:
        raise AlreadyQuantized(layout.name, read_header(source).quantization)
    importance, notes = _read_importance(request, layout)
    plan, needs_imatrix = _dry_run(request, layout, importance)
    if needs_imatrix:
        raise ImatrixNeeded(request.file_type)
    ensure_space(Path(request.output_dir), request.file_name, plan.size_bytes, request.keep_free_bytes)
    target = Path(request.output_dir) / request.file_name
    sizes = {tensor.name: tensor.data.size for tensor in layout.tensors}
    total, done = sum(sizes.values()), 0

    def on_tensor(number: int, count: int, name: str) -> None:
        nonlocal done
        report(done / total, f"Tensor {number} of {count}: {name}")
        done += sizes.get(name, 0)

    has_worked, log = call_quantize(_call(request, layout, target, importance), on_tensor)
    if not has_worked:
        raise log.explain(request.file_type)
    _check(target, plan)
    return Written(file_names=(request.file_name,), size_bytes=plan.size_bytes, notes=notes)


def _dry_run(request: Quantize, layout: Layout, importance: Importance | None) -> tuple[FilePlan, bool]:
    """The file that llama.cpp would write, and whether it lacks an importance matrix for it. With one it chooses other
    types for some tensors."""
    has_worked, log = call_quantize(_call(request, layout, None, importance), lambda _, __, ___: None)
    if not has_worked:
        raise log.explain(request.file_type)
    kinds = {step.name: _NUMBERS.get(step.target_type) for step in log.steps}
    tensors = []
    for tensor in layout.tensors:
        kind = kinds.get(tensor.name)
        if kind is None:
            raise WorkFailed(f"llama.cpp does not say what becomes of “{tensor.name}”")
        size = tensor.size_as(kind)
        tensors.append(NewTensor(tensor.name, tensor.dimensions, kind, size, tuple))
    kept = [entry for entry in layout.entries if entry.key not in (*_WRITTEN_KEYS, ALIGNMENT_KEY)]
    has_alignment = any(entry.key == ALIGNMENT_KEY for entry in layout.entries)
    written = (*_WRITTEN_KEYS, ALIGNMENT_KEY) if has_alignment else _WRITTEN_KEYS
    entries = [*kept, *(Entry(key, pack(0, U32)) for key in written)]
    return FilePlan(entries, tensors, DEFAULT_ALIGNMENT), log.wants_imatrix


def _call(request: Quantize, layout: Layout, target: Path | None, importance: Importance | None) -> QuantizeCall:
    quantization = find_quantization(request.file_type)
    if quantization is None:
        raise UnknownQuantization(request.file_type)
    return QuantizeCall(
        source=Path(request.source),
        target=target,
        file_type=quantization.file_type,
        allow_requantize=True,  # what is allowed was settled before; llama.cpp's own rule knows Q8_0 as quantized, too
        threads=request.threads,
        importance=importance,
        alignment=layout.alignment,
    )


def _is_quantized(layout: Layout) -> bool:
    return any(tensor.kind not in _LOSSLESS for tensor in layout.tensors)


def _read_importance(request: Quantize, layout: Layout) -> tuple[Importance | None, tuple[str, ...]]:
    """The matrix, and what the person should know of it."""
    if request.imatrix is None:
        return None, ()
    path = Path(request.imatrix)
    importance = read_imatrix(path)
    names = {tensor.name for tensor in layout.tensors}
    if not names & set(importance):
        raise InvalidRequest(f"“{path.name}” was made for another model: it knows none of the tensors of this one.")
    strangers = len(set(importance) - names)
    note = f"What “{path.name}” tells of tensors that the model does not have ({strangers}) was passed over."
    return importance, (note,) if strangers else ()


def _check(target: Path, plan: FilePlan) -> None:
    """On the disk, whole, and as large as was said before."""
    with target.open("r+b") as file:
        os.fsync(file.fileno())
    read_header(target)
    if target.stat().st_size != plan.size_bytes:
        raise WorkFailed("llama.cpp wrote another size than it had said")

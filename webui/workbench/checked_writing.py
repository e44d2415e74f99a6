"""Writes planned files and proves them: space first, then the bytes, then everything is read again and compared.

It does not know what the files are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from webui.errors import WorkFailed, format_bytes
from webui.workbench.gguf_layout import read_layout
from webui.workbench.gguf_output import FilePlan, digest_of, ensure_space
from webui.workbench.protocol import FileRequest, ReportProgress, Written


def write_checked(
    plans: Mapping[str, FilePlan], request: FileRequest, report: ReportProgress, *, notes: Sequence[str] = ()
) -> Written:
    """Write each plan under its name into the request's `output_dir`. Raises DiskFull before a byte is written, and
    WorkFailed when what can be read afterwards is not what was written."""
    folder = Path(request.output_dir)
    total = sum(plan.size_bytes for plan in plans.values())
    ensure_space(folder, request.file_name, total, request.keep_free_bytes)
    progress = _Progress(total, report)
    digests: dict[str, bytes] = {}
    for name, plan in plans.items():
        progress.words = f"Writing {name} ({format_bytes(plan.size_bytes)})"
        digests |= plan.write(folder / name, progress.advance)
    progress.words = "Checking what was written"
    _verify(folder / next(iter(plans)), digests, progress)
    return Written(file_names=tuple(plans), size_bytes=total, notes=tuple(notes))


class _Progress:
    """Every byte counts twice: written, and read again."""

    def __init__(self, total: int, report: ReportProgress) -> None:
        self.words = ""
        self._total = total
        self._done = 0
        self._report = report

    def advance(self, num_bytes: int) -> None:
        self._done += num_bytes
        self._report(self._done / (2 * self._total), self.words)


def _verify(path: Path, digests: Mapping[str, bytes], progress: _Progress) -> None:
    tensors = read_layout(path).tensors
    if [tensor.name for tensor in tensors] != list(digests):
        raise WorkFailed("the written file does not hold the tensors that it should")
    for tensor in tensors:
        if digest_of(tensor.data) != digests[tensor.name]:
            raise WorkFailed(f"the tensor “{tensor.name}” cannot be read as it was written; the disk may be failing")
        progress.advance(tensor.data.size)

"""Writes the parts of a split model as one file. Only the keys that tell of the parts are left out."""

from __future__ import annotations

from pathlib import Path

from webui.errors import NothingToDo
from webui.workbench.checked_writing import write_checked
from webui.workbench.gguf_layout import read_layout
from webui.workbench.gguf_output import FilePlan, NewTensor
from webui.workbench.protocol import Join, ReportProgress, Written


def plan(request: Join) -> dict[str, FilePlan]:
    """Raises NothingToDo for a model that is one file."""
    layout = read_layout(Path(request.source))
    if layout.num_parts == 1:
        raise NothingToDo(layout.name, "it is one file already")
    tensors = [NewTensor.copy_of(tensor) for tensor in layout.tensors]
    return {request.file_name: FilePlan(layout.entries, tensors, layout.alignment)}


def run(request: Join, report: ReportProgress) -> Written:
    return write_checked(plan(request), request, report)

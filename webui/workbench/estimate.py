"""Says how large results will be. Each is planned by the same code that would write it, so the size is exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from webui.errors import GlasshouseError
from webui.workbench import edit_metadata, join, merge_adapters, quantize, split
from webui.workbench.gguf_layout import Layout, read_layout
from webui.workbench.gguf_output import FilePlan
from webui.workbench.protocol import (
    AnyFileRequest,
    EditMetadata,
    Estimate,
    Estimated,
    Estimates,
    Join,
    MergeAdapters,
    Quantize,
    ReportProgress,
    Split,
)


def run(request: Estimate, report: ReportProgress) -> Estimates:
    """A request that cannot be done has its problem in words in its place."""
    items = []
    read = cache(read_layout)  # all types of one model are asked for at once
    for number, each in enumerate(request.of, 1):
        try:
            items.append(_estimate(each, read))
        except GlasshouseError as error:
            items.append(Estimated(problem=error.message))
        report(number / len(request.of), "")
    return Estimates(items=tuple(items))


def _estimate(request: AnyFileRequest, read: Callable[[Path], Layout]) -> Estimated:
    match request:
        case Quantize():
            return quantize.estimate(request, read(Path(request.source)))
        case MergeAdapters():
            return _sum(merge_adapters.plan(request))
        case Split():
            return _sum(split.plan(request))
        case Join():
            return _sum(join.plan(request))
        case EditMetadata():
            return _sum(edit_metadata.plan(request))


def _sum(plans: dict[str, FilePlan]) -> Estimated:
    return Estimated(size_bytes=sum(plan.size_bytes for plan in plans.values()), num_files=len(plans))

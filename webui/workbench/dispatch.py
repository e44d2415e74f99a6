"""Which module does which request. Each is imported only when it is asked for: most need no llama.cpp.

A module's `run(request, report)` does the work, calls `report(fraction, words)` as often as it likes, and returns the
outcome or raises one of our errors.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from webui.workbench.protocol import (
    AnyOutcome,
    AnyRequest,
    Compare,
    EditMetadata,
    Estimate,
    Join,
    MergeAdapters,
    Quantize,
    ReportProgress,
    Request,
    Split,
)

_MODULES: dict[type[Request], str] = {
    Quantize: "quantize",
    MergeAdapters: "merge_adapters",
    Split: "split",
    Join: "join",
    EditMetadata: "edit_metadata",
    Estimate: "estimate",
    Compare: "compare",
}


def run_request(request: AnyRequest, report: ReportProgress) -> AnyOutcome:
    module = import_module(f"webui.workbench.{_MODULES[type(request)]}")
    return cast("AnyOutcome", module.run(request, report))

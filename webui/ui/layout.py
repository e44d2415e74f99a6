"""The frame of the page: side list, main region, model panel, and what floats above them.

How parts plug in. Every part is one element (`webui/ui/components/<name>.py`) and its root node carries its region's
class: `side`, `main` and `panel` are grid cells of `.app` (static/css/base.css). Regions open and close in the browser
only, through `glasshouse/shell.js` (`openPanel`, `closePanel`, `openDialog("settings")`, `notify`); the state stands in
`data-panel`, `data-side` and `data-theme` of <html>. The frame knows where things are, not what they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request
from nicegui import context, ui

from webui.ui.components.shell import Shell
from webui.ui.head import head_html, path_prefix


@contextmanager
def frame(request: Request) -> Iterator[Shell]:
    """Open the frame; elements made inside become its regions. NiceGUI's own skeleton stays empty."""
    ui.add_head_html(head_html(path_prefix(request)))
    with context.client.layout:
        shell = Shell()
        with ui.element("div").classes("app"):
            yield shell

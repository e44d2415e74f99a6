"""Import of model files: the whole window takes dropped GGUF files, a tray shows how far they are.

The bytes go from the browser to /api/uploads; this element only brings the component onto the page.
"""

from __future__ import annotations

from nicegui import ui

from webui.ui.components import COMPONENTS


class ImportZone(ui.element, component=COMPONENTS / "import_zone.js"):
    """One per page. Other components open its file picker with `pickFiles` of static/lib/uploads.js."""

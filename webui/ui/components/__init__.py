"""The pieces of the page: one `ui.element` and one ES module under static/components/ each.

NiceGUI serves each component file under its own hashed address, so a relative import between them would miss. The
import map's name `glasshouse/` stands for static/ instead, in a sub-path too: `import … from "glasshouse/components/…"`.
"""

from __future__ import annotations

from nicegui.dependencies import register_esm

from webui.assets import STATIC_DIR

COMPONENTS = STATIC_DIR / "components"

register_esm("glasshouse", STATIC_DIR, max_time=max(file.stat().st_mtime for file in STATIC_DIR.rglob("*.js")))

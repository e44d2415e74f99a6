"""The pieces of the page: one `ui.element` and one ES module under static/components/ each."""

from __future__ import annotations

from webui.assets import STATIC_DIR

COMPONENTS = STATIC_DIR / "components"

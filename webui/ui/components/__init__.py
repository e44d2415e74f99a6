"""The pieces of the page: one `ui.element` and one ES module under static/components/ each.

NiceGUI serves each component file under its own hashed address, so a relative import between them would miss. The
import map's names stand for our folders instead, in a sub-path too: `glasshouse/…` is static/lib, the modules that
components share, and `glasshouse-vendor/…` is static/vendor. The address carries a key made from the newest file, so
browsers may keep every file for ever.
"""

from __future__ import annotations

from pathlib import Path

from nicegui.dependencies import register_esm

from webui.assets import STATIC_DIR

COMPONENTS = STATIC_DIR / "components"


def _register(name: str, folder: Path) -> None:
    register_esm(name, folder, max_time=max((file.stat().st_mtime for file in folder.glob("*.js")), default=None))


_register("glasshouse", STATIC_DIR / "lib")
_register("glasshouse-vendor", STATIC_DIR / "vendor")

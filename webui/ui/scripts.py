"""Put our JavaScript modules into the page's import map.

`glasshouse/…` is `static/lib` (our own small modules), `glasshouse-vendor/…` is `static/vendor` (bundled libraries and
icons). A component writes `import {icon} from "glasshouse/icon.js"`. The address carries a key made from the newest
file, so browsers may keep every file for ever. Knows nothing of what the modules do.
"""

from __future__ import annotations

from pathlib import Path

from nicegui.dependencies import register_esm

from webui.assets import STATIC_DIR

COMPONENTS_DIR = STATIC_DIR / "components"


def register_scripts() -> None:
    """Enter both folders in the import map of every page; calling it again changes nothing."""
    register_esm("glasshouse", STATIC_DIR / "lib", max_time=_newest(STATIC_DIR / "lib"))
    register_esm("glasshouse-vendor", STATIC_DIR / "vendor", max_time=_newest(STATIC_DIR / "vendor"))


def _newest(folder: Path) -> float:
    return max(path.stat().st_mtime for path in folder.glob("*.js"))

"""Where the front-end files are: `static/` of a checkout, `webui/_static` of an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
STATIC_DIR = next(folder for folder in (_PACKAGE / "_static", _PACKAGE.parent / "static") if folder.is_dir())

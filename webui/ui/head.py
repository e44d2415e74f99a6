"""What stands in the `<head>` of a page: style sheets, the theme before the first paint, icons, the manifest.

Knows the files under `static/` and a request's path prefix (a reverse proxy may put Glasshouse under a sub-path).
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from urllib.parse import quote

from fastapi import Request
from nicegui import __version__ as nicegui_version
from nicegui.dependencies import esm_modules

from webui.assets import STATIC_DIR

_STYLES = ("tokens", "base", "chat", "panel", "dialogs", "models", "sheet", "connect", "inspect")
STYLE_SHEETS = tuple(f"{name}.css" for name in _STYLES)
FONT = "vendor/fonts/inter-latin-wght-normal.woff2"
LATER = {"highlight.js", "blake3.js"}  # fetched when the first code block, or the first import, asks for it
#: What pages beside the chat, and a model's sheet, fetch when they are opened first.
OF_OTHER_PAGES = ("models_", "connect_", "inspect_", "programs_")

# Runs before anything is painted: the theme, and which regions are open. Without JavaScript nothing here works anyway.
_FIRST_SCRIPT = """
(() => {
  const root = document.documentElement;
  const read = (key) => { try { return localStorage.getItem("glasshouse." + key); } catch { return null; } };
  const wanted = read("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = wanted === "dark" || wanted === "light" ? wanted : dark ? "dark" : "light";
  root.dataset.panel = innerWidth >= 1200 && read("panel") !== "closed" ? "open" : "closed";
  root.dataset.side = "closed";
  const page = location.pathname.split("/").pop();
  root.dataset.page = ["models", "connect", "inspect"].includes(page) ? page : "chat";
})();
"""


def path_prefix(request: Request) -> str:
    """The sub-path that a reverse proxy serves us under, safe to write into HTML; usually empty."""
    forwarded = quote(request.headers.get("X-Forwarded-Prefix", ""), safe="/:@!$&'()*+,;=%")
    return forwarded.replace("'", "%27") + str(request.scope.get("root_path", ""))


def head_html(prefix: str) -> str:
    """The head's content for a page under `prefix`."""
    styles = [
        f'<link rel="stylesheet" href="{prefix}/static/css/{name}?v={_version(name)}">'
        for name in STYLE_SHEETS
        if (STATIC_DIR / "css" / name).is_file()
    ]
    return "\n".join(
        [
            f"<script>{_FIRST_SCRIPT}</script>",
            f'<link rel="preload" href="{prefix}/static/{FONT}" as="font" type="font/woff2" crossorigin>',
            *styles,
            *(f'<link rel="modulepreload" href="{prefix}{address}">' for address in _module_addresses()),
            f'<link rel="manifest" href="{prefix}/static/manifest.webmanifest">',
            f'<link rel="apple-touch-icon" href="{prefix}/static/icons/icon-180.png">',
            '<meta name="theme-color" content="#081017">',
            '<meta name="apple-mobile-web-app-capable" content="yes">',
            '<meta name="mobile-web-app-capable" content="yes">',
            '<meta name="description" content="Open language models on your own machine.">',
        ]
    )


def _module_addresses() -> list[str]:
    """Our shared modules, so that the browser fetches them side by side and not one import after the other."""
    return [
        f"/_nicegui/{nicegui_version}/esm/{key}/{file.name}"
        for key, module in esm_modules.items()
        if module.name.startswith("glasshouse")
        for file in sorted(module.path.glob("*.js"))
        if file.name not in LATER and not file.name.startswith(OF_OTHER_PAGES)
    ]


def _version(style_sheet: str) -> str:
    path = STATIC_DIR / "css" / style_sheet
    return _hash(path, path.stat().st_mtime)


@cache
def _hash(path: Path, mtime: float) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]

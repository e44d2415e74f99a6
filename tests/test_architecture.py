"""Imports go one way: docs/architecture.md tells how, and this reads the code to see that it is so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "webui"

NOUNS = {"types", "errors", "config", "assets"}
ROOMS = {
    "types": set[str](),
    "errors": set[str](),
    "config": {"types", "errors"},
    "assets": set[str](),
    "engine": NOUNS,
    "library": NOUNS,
    "store": NOUNS,
    "workbench": NOUNS | {"library"},
    "core": NOUNS | {"engine", "library", "store", "workbench"},
    "api": NOUNS | {"engine", "library", "store", "workbench", "core"},
    "ui": NOUNS | {"engine", "library", "store", "workbench", "core"},
    "server": NOUNS | {"core", "api", "ui"},
    "cli": NOUNS | {"engine", "library", "store", "workbench", "core", "server"},
    "__main__": {"cli"},
}
"""Which rooms a room may import from. `server` puts the pages and the wire together, `cli` starts it."""

FRAMEWORKS = {"fastapi", "starlette", "uvicorn", "nicegui", "typer", "rich"}
FOREIGN = {
    "engine": FRAMEWORKS | {"aiosqlite"},
    "library": FRAMEWORKS | {"aiosqlite"},
    "store": FRAMEWORKS,
    "workbench": FRAMEWORKS | {"aiosqlite"},
    "core": FRAMEWORKS,
    "api": {"nicegui", "typer", "rich"},
    "ui": {"typer", "rich"},
    "cli": {"nicegui", "fastapi", "starlette"},
}
"""Which libraries a room does not know."""

LLAMA_CPP = {
    Path(f"engine/{name}.py")
    for name in (
        "adapters",
        "devices",
        "model_runner",
        "draft_model",
        "llama_context",
        "llama_memory",
        "image_batch",
        "projector",
        "sampler",
        "sampler_chain",
        "embedding_runner",
    )
} | {Path(f"workbench/{name}.py") for name in ("llama_quantize", "ggml_rows", "compare_model")}


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a file imports: `from webui.engine import loop` is webui.engine.loop."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno} imports relatively; write the whole name."
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def complaint(room: str, file: Path, name: str) -> str | None:
    """Why this import is wrong, or None."""
    top, _, rest = name.partition(".")
    if top == "llama_cpp" and file not in LLAMA_CPP:
        return "only the modules that are listed here see llama_cpp"
    if top in FOREIGN.get(room, ()):
        return f"{room}/ knows nothing of {top}"
    target = rest.partition(".")[0]
    if top != "webui" or target not in ROOMS or target == room:
        return None
    if target in {"engine", "workbench"} and not f"{rest}.".startswith(f"{target}.protocol."):
        return f"from outside {target}/ only {target}.protocol is imported"
    if target not in ROOMS[room]:
        return f"{room} may import from {', '.join(sorted(ROOMS[room])) or 'no other room'}, not from {target}"
    return None


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    problems = [
        f"webui/{file.relative_to(PACKAGE)}:{line} imports {name}, but {why}."
        for file in files
        for line, name in imports_of(file)
        if (why := complaint(room, file.relative_to(PACKAGE), name))
    ]
    assert not problems, "\n".join(problems)


def test_every_module_belongs_to_a_room() -> None:
    found = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    strangers = found - set(ROOMS) - {"__init__", "_static", "__pycache__"}
    assert not strangers, f"webui/ has no room for {', '.join(sorted(strangers))}: add it to this test and to the docs."

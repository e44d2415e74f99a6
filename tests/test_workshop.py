"""What the project says about itself is true: settings, links, scripts, versions, dependencies."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic_core import PydanticUndefined

from webui import __version__
from webui.config import Settings

ROOT = Path(__file__).resolve().parent.parent
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "local_models").glob("*.md")])
COMPUTED_DEFAULTS = {
    "models_dir": "`local_models/`",
    "data_dir": "your user data folder",
    "model": "the one used last",
    "ctx": "up to 8192",
    "threads": "the cores it may use",
    "gpu_layers": "as many as fit",
    "parked_mb": "from what is free, at most 1024",
}
SCRIPT_VARIABLES = {"GLASSHOUSE_WHEEL_INDEX", "GLASSHOUSE_CHROMIUM"}  # read by scripts/, not settings of a server
COMMAND_VARIABLES = {"GLASSHOUSE_SERVER", "GLASSHOUSE_KEY"}  # which server the terminal asks
#: Imported only where somebody wants what the extra is for.
MODULES_OF_EXTRAS = {"webui/core/redis_store.py": "redis", "webui/core/telemetry/spans.py": "otel"}


def paper_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def settings_rows() -> list[str]:
    """The lines that README's table of settings must have."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = COMPUTED_DEFAULTS.get(name)
        if default is None:
            assert field.default is not PydanticUndefined, f"{name} has no default that works"
            default = "" if field.default in (None, []) else f"`{field.default}`"
            default = {"`False`": "off", "`True`": "on"}.get(default, default)
        flag = "--" + name.replace("_", "-")
        rows.append(f"| `{flag}` | `GLASSHOUSE_{name.upper()}` | {default} | {field.description} |")
    return rows


def test_readme_lists_every_setting() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if re.match(r"\| `--", line)]
    assert found == settings_rows(), "README's table of settings should be:\n" + "\n".join(settings_rows())


def test_every_setting_is_a_flag() -> None:
    command = [sys.executable, "-m", "webui", "serve", "--help"]
    wide = {**os.environ, "COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    told = subprocess.run(command, env=wide, capture_output=True, text=True, check=True, timeout=60).stdout
    missing = [name for name in Settings.model_fields if f"--{name.replace('_', '-')}" not in told]
    assert not missing, f"`glasshouse serve` has no flag for {', '.join(missing)}."


def anchors_of(paper: Path) -> set[str]:
    """The names that headings get, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", paper.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("paper", PAPERS, ids=paper_id)
def test_links_lead_somewhere(paper: Path) -> None:
    text = re.sub(r"```.*?```", "", paper.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    dead = []
    for link in links:
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = paper.parent / name if name else paper
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            dead.append(link)
    assert not dead, f"{paper_id(paper)} links to what does not exist: {', '.join(dead)}"


@pytest.mark.parametrize("paper", [*PAPERS, *ROOT.glob("Dockerfile*"), ROOT / "compose.yaml"], ids=paper_id)
def test_variables_that_are_told_exist(paper: Path) -> None:
    known = {f"GLASSHOUSE_{name.upper()}" for name in Settings.model_fields} | SCRIPT_VARIABLES | COMMAND_VARIABLES
    told = set(re.findall(r"GLASSHOUSE_[A-Z_]*[A-Z]", paper.read_text(encoding="utf-8")))
    assert told <= known, f"{paper_id(paper)} tells of settings that do not exist: {', '.join(sorted(told - known))}"


def test_scripts_can_be_run() -> None:
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file()] + [ROOT / ".ci" / "run"]
    broken = [
        paper_id(path)
        for path in scripts
        if not os.access(path, os.X_OK) or not path.read_text(encoding="utf-8").startswith("#!/usr/bin/env ")
    ]
    assert not broken, f"not executable, or without a first line that says what runs them: {', '.join(broken)}"


def test_changelog_tells_of_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_images_are_built_from_what_reaches_them() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in ("Dockerfile", "Dockerfile.gpu"):
        copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / name).read_text(), flags=re.MULTILINE)
        wanted = {source for line in copies for source in line.split()}
        assert wanted <= let_through, f"{name} copies {wanted - let_through}, which .dockerignore keeps out"
        assert all((ROOT / source).exists() for source in wanted)


def test_every_imported_library_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    distributions = packages_distributions()
    missing = []
    for path in (ROOT / "webui").rglob("*.py"):
        extra = MODULES_OF_EXTRAS.get(paper_id(path))
        lines = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
        declared = {canonicalize_name(Requirement(line).name) for line in lines}
        missing += [
            f"{name} ({paper_id(path)})"
            for name in imported_names(path) - sys.stdlib_module_names - {"webui"}
            if not declared & {canonicalize_name(each) for each in distributions.get(name, [name])}
        ]
    assert not missing, f"pyproject.toml does not declare {', '.join(missing)}"


def imported_names(path: Path) -> set[str]:
    """The packages that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names

"""The clients' own environments under `compat/.env-*`: made once, from PyPI and npm, never shared with Glasshouse's."""

from __future__ import annotations

from pathlib import Path

from glasshouse_bench.environments import Unavailable, make_node_folder, make_once, make_python

from glasshouse_compat.clients import ENVIRONMENTS

__all__ = ["ROOT", "Unavailable", "environment_of"]

ROOT = Path(__file__).resolve().parents[1]


def environment_of(name: str) -> Path:
    """The folder of an environment; what cannot be installed raises Unavailable with the reason for the table."""
    packages = list(ENVIRONMENTS[name])
    install = make_node_folder if name == "node" else make_python
    return make_once(ROOT / f".env-{name}", lambda folder: install(folder, packages))

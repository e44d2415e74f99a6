"""Glasshouse itself, as `glasshouse serve` starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from glasshouse_bench.contestants.base import Contestant, Launch
from glasshouse_bench.setup import REPOSITORY, Setup


class Glasshouse(Contestant):
    """Guessing ahead is off: no peer does it by default, and greedy answers of small models are easy to guess."""

    key = "glasshouse"
    title = "Glasshouse"
    is_ours = True

    def prepare(self) -> str:
        from webui import __version__  # noqa: PLC0415 - only where it is measured

        return __version__

    def launch(self, setup: Setup, port: int, folder: Path) -> Launch:
        models = folder / "models"
        models.mkdir()
        (models / setup.model.path.name).symlink_to(setup.model.path)
        options = {
            "port": port, "data-dir": folder / "data", "models-dir": models, "model": models / setup.model.path.name,
            "ctx": setup.context, "slots": setup.slots, "threads": setup.threads, "gpu-layers": 0,
            "log-level": "warning",
        }  # fmt: skip
        command = [sys.executable, "-m", "webui", "serve"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        environment = {"PYTHONPATH": str(REPOSITORY), "GLASSHOUSE_SPECULATE": "false"}
        return Launch(command, environment, folder)

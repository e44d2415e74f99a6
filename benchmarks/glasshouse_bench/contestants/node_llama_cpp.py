"""node-llama-cpp, a library without a server: `servers/node_server.mjs` is the smallest one around it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from glasshouse_bench import environments
from glasshouse_bench.contestants.base import Contestant, Launch
from glasshouse_bench.setup import ROOT, Setup


class NodeLlamaCpp(Contestant):
    key = "node-llama-cpp"
    title = "node-llama-cpp"

    def prepare(self) -> str:
        self._folder = environments.node()
        package = self._folder / "node_modules" / "node-llama-cpp" / "package.json"
        return str(json.loads(package.read_text())["version"])

    def launch(self, setup: Setup, port: int, folder: Path) -> Launch:
        # A module finds its imports beside itself, so it has to lie in the environment.
        server = shutil.copy(ROOT / "glasshouse_bench" / "servers" / "node_server.mjs", self._folder)
        numbers = (port, setup.context, setup.slots, setup.threads)
        return Launch(["node", str(server), str(setup.model.path), *map(str, numbers)], {}, self._folder)

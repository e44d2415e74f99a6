"""llama.cpp's own server twice: the wheel of xllamacpp on PyPI, and the same server compiled for this processor from
the source of the llama.cpp that Glasshouse's engine is made of (a wheel for everybody leaves newer instructions out).

Prompt caching and continuous batching are on, as is its default. `--jinja` and the rest stay as they come.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from glasshouse_bench import environments
from glasshouse_bench.contestants.base import Contestant, Launch
from glasshouse_bench.setup import ROOT, Setup


class LlamaServer(Contestant):
    """`llama-server`, compiled here."""

    is_reference = True

    def __init__(self, *, is_unified: bool = False) -> None:
        self.is_unified = is_unified
        self.key = "llama-server-unified" if is_unified else "llama-server"
        self.title = "llama.cpp server, unified KV" if is_unified else "llama.cpp server"

    def prepare(self) -> str:
        self._program = environments.llama_server()
        return f"compiled here from the source in llama-cpp-python {version('llama-cpp-python')}"

    def launch(self, setup: Setup, port: int, folder: Path) -> Launch:
        command = [str(self._program), "--host", "127.0.0.1", "--port", str(port), "--model", str(setup.model.path)]
        command += ["--ctx-size", str(setup.total_context), "--parallel", str(setup.slots)]
        command += ["--threads", str(setup.threads), "--threads-batch", str(setup.threads), "--gpu-layers", "0"]
        command += ["--kv-unified" if self.is_unified else "--no-kv-unified"]
        return Launch(command, {}, folder)


class Xllamacpp(Contestant):
    """The same server in the wheel of xllamacpp."""

    is_reference = True

    def __init__(self, *, is_unified: bool = False) -> None:
        self.is_unified = is_unified
        self.key = "xllamacpp-unified" if is_unified else "xllamacpp"
        self.title = "xllamacpp, unified KV" if is_unified else "xllamacpp"

    def prepare(self) -> str:
        self._python = environments.xllamacpp()
        return f"{environments.installed_version(self._python, 'xllamacpp')}, llama.cpp's server in PyPI's wheel"

    def launch(self, setup: Setup, port: int, folder: Path) -> Launch:
        server = ROOT / "glasshouse_bench" / "servers" / "xllamacpp_server.py"
        numbers = (port, setup.total_context, setup.slots, setup.threads, int(self.is_unified))
        return Launch([str(self._python), str(server), str(setup.model.path), *map(str, numbers)], {}, folder)

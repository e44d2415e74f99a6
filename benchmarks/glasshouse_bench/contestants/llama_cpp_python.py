"""The two servers of llama-cpp-python: the package's own `llama_cpp.server`, which answers one request at a time, and
`examples/server/server.py` of its source, a scheduler in Python with batching."""

from __future__ import annotations

import json
from pathlib import Path

from glasshouse_bench import environments
from glasshouse_bench.contestants.base import Contestant, Launch
from glasshouse_bench.setup import Setup


class PlainServer(Contestant):
    """Told not to break off an answer when the next question comes, which is its default. It keeps one conversation."""

    key = "llama-cpp-python"
    title = "llama-cpp-python, its server"

    def prepare(self) -> str:
        self._python = environments.llama_cpp_python()
        return environments.installed_version(self._python, "llama-cpp-python")

    def launch(self, setup: Setup, port: int, folder: Path) -> Launch:
        options = {
            "host": "127.0.0.1", "port": port, "model": setup.model.path, "n_ctx": setup.context,
            "n_threads": setup.threads, "n_threads_batch": setup.threads, "n_gpu_layers": 0, "flash_attn": "true",
            "logits_all": "false", "use_mlock": "false", "interrupt_requests": "false", "verbose": "false",
        }  # fmt: skip
        command = [str(self._python), "-m", "llama_cpp.server"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        return Launch(command, {}, folder)


class BatchingServer(Contestant):
    """The example server; its sequences share one unified KV, as is its default."""

    key = "llama-cpp-python-example"
    title = "llama-cpp-python, example server"

    def prepare(self) -> str:
        self._python = environments.llama_cpp_python()
        self._server = environments.llama_cpp_source() / "examples" / "server" / "server.py"
        return environments.installed_version(self._python, "llama-cpp-python")

    def launch(self, setup: Setup, port: int, folder: Path) -> Launch:
        model = {
            "path": str(setup.model.path), "alias": "default", "n_ctx": setup.total_context, "n_seq_max": setup.slots,
            "threads": setup.threads, "threads_batch": setup.threads, "n_gpu_layers": 0, "flash_attn": True,
            "store_logits": False,
        }  # fmt: skip
        config = folder / "config.json"
        config.write_text(json.dumps({"server": {"host": "127.0.0.1", "port": port}, "model": model}))
        return Launch([str(self._python), str(self._server), "--config-file", str(config)], {}, folder)

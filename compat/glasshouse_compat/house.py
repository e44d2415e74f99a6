"""Servers with the starter model and a tiny embedding model, on loopback: one for all, and one that asks for a key.

Each client gets a new one of the second kind: who sends wrong keys has to wait longer each time, and the next client
would wait for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.engine.tiny_embedding_models import write_bert
from tests.support.server import RunningServer

MODEL = "SmolLM2-135M-Instruct.Q4_1"
EMBEDDING_MODEL = "Tiny-Embedding"
_PASSPHRASE = "correct horse battery staple"


@contextmanager
def open_server() -> Iterator[str]:
    """Its address on loopback; the model is loaded."""
    with _server() as server:
        loaded = httpx.post(f"{server.base_url}/load_model", json={"model": MODEL}, timeout=120, trust_env=False)
        loaded.raise_for_status()
        yield server.base_url


@contextmanager
def locked_server() -> Iterator[tuple[str, str]]:
    """Its address, and a key for it, made with the passphrase."""
    with _server(args=["--require-key"], env={"GLASSHOUSE_PASSPHRASE": _PASSPHRASE}) as server:
        made = httpx.post(
            f"{server.base_url}/manage/keys", json={"name": "compat"}, headers={"x-api-key": _PASSPHRASE},
            timeout=10, trust_env=False,
        )  # fmt: skip
        yield server.base_url, str(made.raise_for_status().json()["key"])


@contextmanager
def _server(**options: Any) -> Iterator[RunningServer]:
    with tempfile.TemporaryDirectory(prefix="glasshouse-compat-") as name:
        folder = Path(name)
        (folder / "models").mkdir()
        write_bert(folder / "models" / f"{EMBEDDING_MODEL}.gguf")
        with RunningServer(folder, **options) as server:
            yield server

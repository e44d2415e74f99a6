"""A server with something of everything that the Models page shows: chat and embedding models, an adapter, a broken
file, a store of Ollama's, and a hub on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.engine.tiny_embedding_models import write_bert
from tests.library.adapter_files import write_adapter_file
from tests.library.model_stores import ollama_blob, ollama_manifest
from tests.support.fake_hub import FakeHub
from tests.support.pages import starter_file
from tests.support.server import RunningServer


@dataclass(frozen=True)
class House:
    """A server, and the hub that it asks."""

    server: RunningServer
    hub: FakeHub

    @property
    def base_url(self) -> str:
        return self.server.base_url

    @property
    def models_dir(self) -> Path:
        return self.server.models_dir


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    models = folder / "models"
    models.mkdir()
    write_bert(models / "Tiny-Embed.gguf")
    write_adapter_file(models / "Pirate-LoRA.gguf")
    shutil.copy(starter_file(), models / "Assistant-Q4_1.gguf")
    (models / "Broken-7B.Q4_K_M.gguf").write_bytes(b"GGUF\x03\x00\x00\x00 and then nothing good")
    ollama_manifest(folder / "ollama", "registry.ollama.ai/library/llama3.2/3b", ollama_blob(folder / "ollama", "a"))
    tiny = (models / "Tiny-Embed.gguf").read_bytes()
    with FakeHub() as hub:
        hub.add("maker/Tiny-GGUF", {"Tiny-Q4_K_M.gguf": tiny, "Tiny-Q8_0.gguf": tiny}, downloads=1234)
        hub.add("maker/Secret-GGUF", {"Secret-Q8_0.gguf": tiny}, token="hf_right", is_gated=True)
        env = {"GLASSHOUSE_HUB_ENDPOINT": hub.endpoint, "OLLAMA_MODELS": str(folder / "ollama"), "HOME": str(folder)}
        with RunningServer(folder, args=["--threads", "1"], env=env) as server:
            yield House(server, hub)

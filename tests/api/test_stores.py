"""Other programs' models over HTTP: found, switched on, listed; a no is remembered."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.library.model_stores import ollama_blob, ollama_manifest


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    monkeypatch.setattr("webui.library.store_places.OLLAMA_SERVICE", tmp_path / "no service")
    store = tmp_path / "ollama"
    ollama_manifest(store, "registry.ollama.ai/library/llama3.2/3b", ollama_blob(store, "1"))
    return store


async def models(client: httpx.AsyncClient) -> list[str]:
    return [model["id"] for model in (await client.get("/v1/models")).json()["data"]]


async def told(client: httpx.AsyncClient, **choice: object) -> dict[str, object]:
    """What is said of Ollama's store, after a choice where one is given."""
    asked = client.put("/manage/stores", json={"kind": "ollama", **choice}) if choice else client.get("/manage/stores")
    stores: list[dict[str, object]] = (await asked).json()
    return next(store for store in stores if store["kind"] == "ollama")


async def test_a_store_is_used_when_somebody_says_so(client: httpx.AsyncClient, ollama: Path) -> None:
    store = await told(client)
    assert (store["name"], store["num_models"], store["folders"]) == ("Ollama", 1, [str(ollama)])
    assert (store["is_used"], store["is_offered"]) == (False, True)
    assert "llama3.2-3b" not in await models(client)

    store = await told(client, is_used=True)
    assert (store["is_used"], store["is_offered"]) == (True, False)
    assert "llama3.2-3b" in await models(client)

    store = await told(client, is_used=False)
    assert (store["is_used"], store["is_offered"]) == (False, False), "who said no is not asked again"
    assert "llama3.2-3b" not in await models(client)


async def test_a_program_that_is_not_known_is_refused(client: httpx.AsyncClient) -> None:
    refused = await client.put("/manage/stores", json={"kind": "/etc", "is_used": True})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "kind")

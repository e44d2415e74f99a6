"""LoRA adapters over HTTP: the list, the field of a request, and what comes back for a wrong one."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.library.adapter_files import write_adapter_file
from webui.core.application import Application
from webui.types import GenerationRequest

URL = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def pirate(application: Application) -> None:
    write_adapter_file(application.settings.models_dir / "Pirate-LoRA.gguf")


def ask(*lora: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], "lora": list(lora), **more}


async def asked(application: Application) -> GenerationRequest:
    """The last request that reached the engine."""
    engine: Any = await application.models.ensure_loaded()
    request = engine.asked[-1]
    assert isinstance(request, GenerationRequest)
    return request


async def test_adapters_are_listed_apart_from_models(client: httpx.AsyncClient) -> None:
    [adapter] = (await client.get("/lora-adapters")).json()
    assert (adapter["id"], adapter["name"], adapter["architecture"]) == ("Pirate-LoRA", "Pirate LoRA", "llama")
    models = (await client.get("/v1/models")).json()["data"]
    assert "Pirate-LoRA" not in {model["id"] for model in models}


async def test_a_request_takes_adapters_along(client: httpx.AsyncClient, application: Application) -> None:
    response = await client.post(URL, json=ask({"id": "Pirate-LoRA", "scale": 0.5}))
    assert response.status_code == 200
    [adapter] = (await asked(application)).adapters
    assert adapter.path == str(application.settings.models_dir / "Pirate-LoRA.gguf")
    assert adapter.scale == 0.5
    assert (await client.post(URL, json=ask({"name": "pirate-lora.gguf"}, stream=True))).status_code == 200
    assert [each.scale for each in (await asked(application)).adapters] == [1.0]
    assert (await client.post(URL, json=ask())).status_code == 200
    assert (await asked(application)).adapters == ()


@pytest.mark.parametrize(
    ("lora", "words"),
    [({"id": "Parrot"}, "There is no adapter “Parrot” here"),
     ({"id": "../../etc/passwd"}, "There is no adapter"),
     ({"id": 0}, "lora"),
     ({"scale": 1.0}, "either an id or a name"),
     ({"id": "Pirate-LoRA", "name": "Pirate-LoRA"}, "either an id or a name"),
     ({"id": "Pirate-LoRA", "scale": 1e30}, "lora"),
     ({"id": "Pirate-LoRA", "path": "/x"}, "lora")],
)  # fmt: skip
async def test_a_wrong_one_is_a_400_with_a_sentence(
    client: httpx.AsyncClient, lora: dict[str, Any], words: str
) -> None:
    response = await client.post(URL, json=ask(lora))
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


async def test_an_adapter_is_no_model(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json={**ask(), "model": "Pirate-LoRA"})
    assert response.status_code in {400, 422}
    assert "it is an adapter (LoRA) for another model" in response.json()["error"]["message"]

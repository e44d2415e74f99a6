"""Glasshouse's own routes: health, status, load and unload; and the description of them all."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import FastAPI

STARTER = "SmolLM2-135M-Instruct.Q4_1"


async def test_health_tells_nothing_but_life(stranger: httpx.AsyncClient) -> None:
    response = await stranger.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert (await stranger.head("/health")).status_code == 200


async def test_status_follows_loading_and_unloading(client: httpx.AsyncClient) -> None:
    before = (await client.get("/status")).json()
    assert (before["state"], before["model"]) == ("stopped", None)
    assert 0 < before["ram"]["free_bytes"] <= before["ram"]["total_bytes"]

    loaded = await client.post("/load_model", json={"model": STARTER, "ctx": 512})
    assert loaded.status_code == 200
    assert loaded.json()["state"] == "ready"
    assert loaded.json()["model"] | {"size_bytes": 0} == {
        "id": STARTER,
        "name": "SmolLM2 135M Instruct",
        "size_bytes": 0,
        "context_tokens": 512,
        "device": "CPU",
        "gpu_layers": 0,
    }
    assert (await client.get("/status")).json()["ram"]["engine_bytes"] == 118_000_000

    unloaded = (await client.post("/unload_model")).json()
    assert (unloaded["state"], unloaded["ram"]["engine_bytes"]) == ("stopped", 0)


async def test_a_wrong_name_leaves_everything_as_it_was(client: httpx.AsyncClient) -> None:
    await client.post("/load_model", json={"model": STARTER})
    response = await client.post("/load_model", json={"model": "no-such-model"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_model")
    assert (await client.get("/status")).json()["state"] == "ready"


async def test_more_context_than_the_model_was_trained_for_is_refused_with_both_numbers(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/load_model", json={"model": STARTER, "ctx": 100_000})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "context_too_large")
    assert (error["details"]["asked_tokens"], error["details"]["trained_tokens"]) == (100_000, 8192)
    assert (await client.post("/load_model", json={"model": STARTER, "ctx": 2_000_000_000})).status_code == 400
    assert (await client.get("/status")).json()["state"] == "stopped"


async def test_the_description_is_whole(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Every reference leads somewhere, every operation says what it does under a name of its own."""
    spec = (await client.get("/openapi.json")).json()
    operations = [operation for path in spec["paths"].values() for operation in path.values()]
    assert {"/health", "/status", "/load_model", "/unload_model", "/v1/models", "/v1/chat/completions"} <= set(
        spec["paths"]
    )
    assert all(operation.get("summary") for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for reference in references(spec):
        place: Any = spec
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def references(node: Any) -> list[str]:
    """Every `$ref` of a JSON document."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    own = [node["$ref"]] if isinstance(node, dict) and "$ref" in node else []
    return own + [reference for child in children for reference in references(child)]

"""Changing model files over HTTP, with a real workbench process behind it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.core.waiting import until_async
from tests.workbench.model_files import tensor_types, write_wide_model
from webui.core.application import Application
from webui.library.quantizations import QUANTIZATIONS

JOBS = "/manage/jobs"


@pytest.fixture
def models_dir(application: Application) -> Path:
    write_wide_model(application.settings.models_dir / "Wide-F16.gguf")
    return application.settings.models_dir


async def ended(client: httpx.AsyncClient, job_id: str) -> dict[str, object]:
    async def has_ended() -> bool:
        return (await client.get(f"{JOBS}/{job_id}")).json()["state"] not in {"queued", "running"}

    await until_async(has_ended, seconds=30)
    job: dict[str, object] = (await client.get(f"{JOBS}/{job_id}")).json()
    return job


async def test_a_model_is_quantized_to_the_size_that_was_said(client: httpx.AsyncClient, models_dir: Path) -> None:
    body = {"kind": "quantize", "model": "Wide-F16", "type": "Q4_K_M"}
    estimate = (await client.post(f"{JOBS}/estimate", json=body)).json()
    response = await client.post(JOBS, json=body)
    assert response.status_code == 202
    job = await ended(client, response.json()["id"])
    assert response.headers["Location"] == f"{JOBS}/{job['id']}"
    assert (job["state"], job["result"], job["size_bytes"]) == ("done", "Wide-Q4_K_M.gguf", estimate["size_bytes"])
    assert tensor_types(models_dir / "Wide-Q4_K_M.gguf")["output.weight"] == "Q6_K"
    assert [each["id"] for each in (await client.get(JOBS)).json()] == [job["id"]]
    assert (await client.delete(f"{JOBS}/{job['id']}")).status_code == 204
    assert (await client.get(JOBS)).json() == []
    small = {"kind": "quantize", "model": "Wide-Q4_K_M", "type": "Q8_0"}
    assert (await client.post(f"{JOBS}/estimate", json=small)).json()["is_requantizing"] is True


async def test_the_list_of_types_tells_the_size_of_each(client: httpx.AsyncClient, models_dir: Path) -> None:
    plain = (await client.get("/manage/quantizations")).json()
    sized = (await client.get("/manage/quantizations", params={"model": "Wide-F16"})).json()
    assert [each["name"] for each in plain] == [each["name"] for each in sized] == [each.name for each in QUANTIZATIONS]
    assert plain[0]["estimate"] is None
    sizes = {each["name"]: each["estimate"]["size_bytes"] for each in sized}
    assert sizes["Q2_K"] < sizes["Q4_K_M"] < sizes["Q8_0"] < sizes["F16"] < sizes["F32"]
    missing = await client.get("/manage/quantizations", params={"model": "nothing"})
    assert missing.status_code == 404


async def test_a_template_is_changed_in_a_new_file(client: httpx.AsyncClient, models_dir: Path) -> None:
    body = {"kind": "edit_metadata", "model": "Wide-F16", "chat_template": "{{ 'New' }}", "result": "Mine"}
    job = await ended(client, (await client.post(JOBS, json=body)).json()["id"])
    assert (job["state"], job["error"]) == ("done", None)
    assert b"{{ 'New' }}" in (models_dir / "Mine.gguf").read_bytes()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "quantize", "model": "Wide-F16", "type": "Q9"}, 400, "unknown_quantization"),
        ({"kind": "quantize", "model": "nothing", "type": "Q8_0"}, 404, "unknown_model"),
        ({"kind": "quantize", "model": "Wide-F16", "type": "Q8_0", "result": "../x"}, 400, "invalid_file_name"),
        ({"kind": "quantize", "model": "Wide-F16", "type": "Q8_0", "result": "Wide-F16"}, 409, "file_exists"),
        ({"kind": "quantize", "model": "Wide-F16"}, 400, "invalid_request"),
        ({"kind": "explode", "model": "Wide-F16"}, 400, "invalid_request"),
        ({"kind": "split", "model": "Wide-F16", "max_part_bytes": 5}, 400, "invalid_request"),
        ({"kind": "merge_adapters", "model": "Wide-F16", "adapters": [{"id": "none"}]}, 400, "unknown_adapter"),
        ({"kind": "edit_metadata", "model": "Wide-F16"}, 400, "invalid_request"),
    ],
)
async def test_a_bad_order_is_refused_at_once(
    client: httpx.AsyncClient, models_dir: Path, body: dict[str, object], status: int, code: str
) -> None:
    response = await client.post(JOBS, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    assert (await client.get(JOBS)).json() == []


async def test_half_a_character_does_not_break_anything(client: httpx.AsyncClient, models_dir: Path) -> None:
    body = rb'{"kind": "edit_metadata", "model": "Wide-F16", "name": "\ud800"}'
    response = await client.post(JOBS, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error"), response.text


async def test_an_unknown_job_is_not_found(client: httpx.AsyncClient) -> None:
    for response in (
        await client.get(f"{JOBS}/nothing"),
        await client.post(f"{JOBS}/nothing/cancel"),
        await client.delete(f"{JOBS}/nothing"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_job")


async def test_a_stranger_signs_in_first(stranger: httpx.AsyncClient, models_dir: Path) -> None:
    assert (await stranger.get(JOBS)).status_code == 401
    assert (await stranger.post(JOBS, json={"kind": "join", "model": "Wide-F16"})).status_code == 401

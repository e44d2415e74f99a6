"""Getting a model over HTTP: search, look what there is, fetch it, and use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.core.waiting import until_async
from tests.library.gguf_files import write_model
from tests.support.fake_hub import FakeHub
from webui.core.application import Application

REPO = "me/Tiny-GGUF"
NAME = "Tiny-Q4_K_M.gguf"


@pytest.fixture
def hub(application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub that the application asks, with one small model."""
    with FakeHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        hub.add(REPO, {NAME: write_model(tmp_path / "m.gguf").read_bytes(), "Tiny-Q8_0.gguf": b"GGUF" + bytes(90_000)})
        yield hub


async def test_from_a_search_to_a_model(client: httpx.AsyncClient, hub: FakeHub) -> None:
    found = (await client.get("/manage/hub/search", params={"q": "tiny"})).json()
    assert [each["repo"] for each in found] == [REPO]

    repo = (await client.get("/manage/hub/variants", params={"repo": found[0]["repo"]})).json()
    assert [(each["label"], each["is_default"], each["fit"]["fit"]) for each in repo["variants"]] == [
        ("Q4_K_M", True, "fits"),
        ("Q8_0", False, "fits"),
    ]
    assert repo["license"] == "apache-2.0"
    exactly = (await client.get("/manage/hub/fit", params={"repo": REPO, "variant": "Q4_K_M"})).json()
    assert (exactly["fit"], exactly["is_exact"]) == ("fits", True)

    started = await client.post("/manage/downloads", json={"reference": f"hf.co/{REPO}"})
    assert started.status_code == 201, started.text
    url = f"/manage/downloads/{started.json()['id']}"

    async def is_done() -> bool:
        return bool((await client.get(url)).json()["state"] == "done")

    await until_async(is_done, seconds=20)
    assert "Tiny-Q4_K_M" in [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
    assert [each["reference"] for each in (await client.get("/manage/downloads")).json()] == [f"{REPO}:Q4_K_M"]

    async def update() -> dict[str, object]:
        answer = await client.get("/manage/hub/update", params={"model": "Tiny-Q4_K_M"})
        return dict(answer.json())

    assert (await update())["has_newer"] is False
    hub.repos[REPO].files[NAME] = b"GGUF, but newer"
    assert (await update())["has_newer"] is True
    del hub.repos[REPO].files[NAME]
    assert (await update())["is_gone"] is True

    again = await client.post("/manage/downloads", json={"reference": f"{REPO}:Q8_0"})
    assert (await client.post(f"/manage/downloads/{again.json()['id']}/pause")).json()["state"] in {"paused", "failed"}
    for each in (await client.get("/manage/downloads")).json():
        assert (await client.delete(f"/manage/downloads/{each['id']}")).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_presets_are_checked_only_when_asked(client: httpx.AsyncClient, hub: FakeHub, tmp_path: Path) -> None:
    presets = (await client.get("/manage/presets")).json()
    assert {each["state"] for each in presets} == {"unchecked"}
    assert hub.requests == []

    large, small = presets[-1], presets[0]
    sparse = tmp_path / "sparse.gguf"
    with sparse.open("wb") as file:
        file.truncate(large["size_bytes"])
    for preset, content in ((large, sparse), (small, b"GGUF much smaller")):
        repo, _, label = preset["reference"].partition(":")
        hub.add(repo, {f"M-{label}.gguf": content})
    checked = {each["id"]: each for each in (await client.post("/manage/presets/check")).json()}
    assert checked[large["id"]]["state"] == "available"
    assert (checked[small["id"]]["state"], checked[small["id"]]["size_bytes"]) == ("changed", 17)
    assert checked[presets[1]["id"]]["state"] == "gone"
    again = (await client.get("/manage/presets")).json()
    assert [each["state"] for each in again] == [each["state"] for each in checked.values()]


async def test_a_token_is_kept_and_never_told(client: httpx.AsyncClient, hub: FakeHub) -> None:
    hub.add("me/Private-GGUF", {NAME: b"GGUF"}, token="hf_secret")
    refused = await client.get("/manage/hub/variants", params={"repo": "me/Private-GGUF"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "hub_denied")
    answer = await client.put("/manage/hub/token", json={"token": "hf_secret"})
    assert answer.json() == {"has_token": True}
    assert (await client.get("/manage/hub/variants", params={"repo": "me/Private-GGUF"})).status_code == 200
    assert "hf_secret" not in (await client.get("/manage/hub/token")).text
    assert (await client.delete("/manage/hub/token")).status_code == 204
    assert (await client.get("/manage/hub/token")).json() == {"has_token": False}


@pytest.mark.parametrize(
    ("reference", "status", "code"),
    [
        ("no such thing", 400, "invalid_reference"),
        ("/etc/passwd", 400, "invalid_reference"),
        (f"{REPO}:Q2_K", 404, "hub_not_found"),
        ("me/nothing", 403, "hub_denied"),
    ],
)
async def test_what_cannot_be_fetched_is_refused(
    client: httpx.AsyncClient, hub: FakeHub, reference: str, status: int, code: str
) -> None:
    answer = await client.post("/manage/downloads", json={"reference": reference})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_offline_is_said_and_everything_else_goes_on(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    answer = await client.get("/manage/hub/search", params={"q": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "hub_offline")
    assert (await client.post("/manage/presets/check")).status_code == 503
    assert (await client.get("/v1/models")).status_code == 200


async def test_a_busy_hub_tells_when_to_come_again(client: httpx.AsyncClient, hub: FakeHub) -> None:
    hub.api_answer = (429, b"")
    answer = await client.get("/manage/hub/search")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")

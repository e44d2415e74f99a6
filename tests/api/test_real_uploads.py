"""An import into a server that is killed in the middle of it, with no time to tidy up."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from blake3 import blake3

from tests.conftest import ServerStarter
from tests.support.pages import starter_file, wait_until
from tests.support.server import RunningServer

NAME = "Killed.gguf"


async def test_a_killed_server_lists_no_half_model_and_goes_on(start_server: ServerStarter, tmp_path: Path) -> None:
    content = starter_file().read_bytes()
    server = start_server(folder=tmp_path)
    part = server.models_dir / f"{NAME}.part"
    async with connect(server) as client:
        begun = await client.post("/api/uploads", json={"name": NAME, "size": len(content)})
        location = str(begun.headers["location"])
        with pytest.raises(httpx.TransportError):
            body = half_until_killed(server, part, content[: len(content) // 2])
            await client.patch(location, content=body, headers={"upload-offset": "0"})
    assert sorted(path.name for path in server.models_dir.iterdir()) == [part.name, f"{part.name}.json"]

    again = start_server(folder=tmp_path)
    async with connect(again) as client:
        assert "Killed" not in await ids(client)
        held = (await client.get(f"{location}/digest")).json()
        offset = held["offset"]
        assert 0 < offset < len(content)
        assert held["blake3"] == blake3(content[:offset]).hexdigest()
        proof = {"upload-offset": str(offset), "upload-digest": blake3(content).hexdigest()}
        assert (await client.patch(location, content=content[offset:], headers=proof)).status_code == 204
        assert "Killed" in await ids(client)
    assert (again.models_dir / NAME).read_bytes() == content


def connect(server: RunningServer) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.base_url, trust_env=False, timeout=30)


async def half_until_killed(server: RunningServer, part: Path, half: bytes) -> AsyncIterator[bytes]:
    yield half
    await wait_until(lambda: part.stat().st_size > 1_000_000, "some of it is on the disk")
    server.stop(signal.SIGKILL)
    yield b"what nobody receives"


async def ids(client: httpx.AsyncClient) -> list[str]:
    return [model["id"] for model in (await client.get("/v1/models")).json()["data"]]

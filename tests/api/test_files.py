"""`/v1/files`: sent by the official client and by hand, listed in pages, kept whole or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import httpx2
import openai
import pytest
from fastapi import FastAPI
from starlette.types import Message

from webui.core.application import Application
from webui.core.files import Files
from webui.store.files import FileStore

FILES = "/v1/files"
HALF_A_FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf'


@pytest.fixture
async def official(app: FastAPI) -> AsyncIterator[openai.AsyncOpenAI]:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app, client=("127.0.0.1", 50000)))
    async with openai.AsyncOpenAI(
        base_url="http://localhost:8002/v1", api_key="none", http_client=http, max_retries=0
    ) as client:
        yield client


def contents(application: Application) -> list[str]:
    return sorted(path.name for path in (application.settings.data_dir / "files").iterdir())


async def send(
    client: httpx.AsyncClient, content: bytes = b"hello", purpose: str = "user_data", more: dict[str, str] | None = None
) -> str:
    form = {"purpose": purpose} | (more or {})
    reply = await client.post(FILES, files={"file": ("notes.txt", content)}, data=form)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


async def test_the_official_client_keeps_a_file_here(official: openai.AsyncOpenAI, application: Application) -> None:
    content = bytes(range(256)) * 2000  # with line feeds and boundaries' characters, over several pieces
    sent = await official.files.create(
        file=("../päivä.jsonl", content), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (sent.object, sent.filename, sent.bytes, sent.purpose) == ("file", "päivä.jsonl", len(content), "batch")
    assert sent.expires_at == sent.created_at + 3600
    assert (await official.files.retrieve(sent.id)).id == sent.id
    assert (await official.files.content(sent.id)).content == content
    assert [each.id async for each in official.files.list()] == [sent.id]
    assert (await official.files.delete(sent.id)).deleted
    with pytest.raises(openai.NotFoundError, match="no file"):
        await official.files.retrieve(sent.id)
    assert contents(application) == []


async def test_a_list_comes_in_pages(official: openai.AsyncOpenAI, client: httpx.AsyncClient) -> None:
    sent = [await send(client, purpose="batch" if number % 2 else "user_data") for number in range(5)]
    assert [each.id async for each in official.files.list(limit=2)] == sent[::-1]
    assert [each.id async for each in official.files.list(limit=2, order="asc", purpose="batch")] == sent[1::2]
    page = (await client.get(FILES, params={"limit": 5})).json()
    assert (page["first_id"], page["last_id"], page["has_more"]) == (sent[4], sent[0], False)
    assert (await client.get(FILES, params={"after": "file-x"})).status_code == 404


async def test_files_belong_to_who_sent_them(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    sent = await send(client)
    from_outside = {"Authorization": "Bearer correct horse battery"}
    assert (await stranger.get(FILES, headers=from_outside)).json()["data"] == []
    for method, path in (("GET", sent), ("DELETE", sent), ("GET", f"{sent}/content")):
        reply = await stranger.request(method, f"{FILES}/{path}", headers=from_outside)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_file")
    assert (await client.get(f"{FILES}/{sent}")).status_code == 200


async def test_what_is_wrong_with_a_form_is_said_and_nothing_of_it_is_kept(
    client: httpx.AsyncClient, application: Application
) -> None:
    file = {"file": ("a.txt", b"hello")}
    wrong = [
        ("purpose", {"files": file}),
        ("purpose", {"files": file, "data": {"purpose": "vision"}}),
        ("expires_after", {"files": file, "data": {"purpose": "batch", "expires_after[seconds]": "5"}}),
        ("file", {"data": {"purpose": "batch"}, "files": {"other": ("a", b"x")}}),
        ("file", {"json": {"purpose": "batch"}}),
        ("file", {"content": b"--x\r\nno form", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}),
        ("file", {"files": [("file", ("a", b"1")), ("file", ("b", b"2"))], "data": {"purpose": "batch"}}),
    ]
    for param, options in wrong:
        reply = await client.post(FILES, **options)  # type: ignore[arg-type]
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    whole = httpx.Request("POST", "http://x", files=file, data={"purpose": "batch"})
    cut = await client.post(FILES, content=whole.read()[:-20], headers={"Content-Type": whole.headers["Content-Type"]})
    assert (cut.status_code, cut.json()["error"]["param"]) == (400, "file")
    assert contents(application) == []


async def test_a_file_that_is_too_large_is_refused_while_it_comes(
    client: httpx.AsyncClient, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application.files, "_max_bytes", 100_000)
    reply = await client.post(FILES, files={"file": ("a", b"x" * 100_001)}, data={"purpose": "user_data"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "file_too_large")
    announced = await client.post(FILES, content=b"", headers={"Content-Length": "600000000"})
    assert announced.status_code == 413
    monkeypatch.setattr(application.files, "_free_margin_bytes", 10**18)
    full = await client.post(FILES, files={"file": ("a", b"x")}, data={"purpose": "user_data"})
    assert (full.status_code, full.json()["error"]["code"]) == (507, "disk_full")
    assert contents(application) == []


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(app: FastAPI, application: Application) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": HALF_A_FORM, "more_body": True},
        {"type": "http.disconnect"},
    ]
    headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=b")]
    scope = {
        "type": "http", "method": "POST", "path": FILES, "raw_path": FILES.encode(), "query_string": b"",
        "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "server": ("localhost", 8002),
        "scheme": "http", "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send_nowhere(_: Message) -> None: ...

    await app(scope, receive, send_nowhere)
    assert contents(application) == []


AN_HOUR = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}


async def test_a_start_forgets_what_is_half_or_too_old(client: httpx.AsyncClient, application: Application) -> None:
    kept, old, lost = (
        await send(client),
        await send(client, more=AN_HOUR),
        await send(client),
    )
    folder: Path = application.settings.data_dir / "files"
    (folder / "file-half").write_bytes(b"what a kill left")
    (folder / lost).unlink()
    store: FileStore = application.files._store
    later = Files(store, folder, clock=lambda: 4e9)
    await later.open()
    assert contents(application) == [kept]
    listed = (await client.get(FILES)).json()["data"]
    assert [each["id"] for each in listed] == [kept]
    assert old not in contents(application)

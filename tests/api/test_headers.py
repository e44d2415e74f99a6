"""What every response tells the browser not to do, and how long files are kept."""

from __future__ import annotations

import re

import httpx
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from webui.api.door.headers import PageNonce

PAGE = "<script>one()</script><p>text</p><script type='module' src='/x.js'></script>"


async def test_every_response_is_guarded(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    responses = [
        await client.get("/status"),
        await client.get("/v1/nothing"),
        await stranger.get("/status"),
        await stranger.get("/signin"),
        await client.get("/health", headers={"host": "evil.example"}),
    ]
    for response in responses:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        policy = response.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self';" in policy, "no inline script and no eval outside of NiceGUI's pages"


async def nicegui_page(scope: Scope, receive: Receive, send: Send) -> None:
    await HTMLResponse(PAGE, headers={"X-NiceGUI-Content": "page"})(scope, receive, send)


async def test_the_inline_scripts_of_a_page_get_a_nonce_that_is_new_each_time() -> None:
    transport = httpx.ASGITransport(PageNonce(nicegui_page))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        responses = [await client.get("/"), await client.get("/")]
    nonces = set()
    for response in responses:
        found = re.findall(r'<script nonce="([^"]+)"', response.text)
        assert len(found) == 2
        assert f"'nonce-{found[0]}'" in response.headers["content-security-policy"]
        assert "script-src 'self' 'unsafe-inline'" not in response.headers["content-security-policy"]
        assert int(response.headers["content-length"]) == len(response.content)
        nonces.update(found)
    assert len(nonces) == 2


async def test_files_are_checked_unless_their_url_carries_a_version(client: httpx.AsyncClient) -> None:
    plain = await client.get("/static/signin.html")
    assert plain.headers["cache-control"] == "no-cache"
    again = await client.get("/static/signin.html", headers={"if-none-match": plain.headers["etag"]})
    assert again.status_code == 304
    versioned = await client.get("/static/signin.html?v=abc")
    assert "immutable" in versioned.headers["cache-control"]
    assert "cache-control" not in (await client.get("/static/nothing.css?v=abc")).headers


async def test_texts_are_compressed(client: httpx.AsyncClient) -> None:
    response = await client.get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"

"""Signing in from another machine, once for each browser."""

from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import PASSPHRASE
from webui.api.door.session_cookie import SESSION_COOKIE
from webui.core.application import Application


async def test_sign_in_and_out(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/status")).status_code == 401

    signed_in = await stranger.post("/api/session", json={"passphrase": PASSPHRASE, "next": "/c/7"})
    assert (signed_in.status_code, signed_in.json()) == (201, {"next": "/c/7"})
    cookie = signed_in.headers["set-cookie"]
    assert cookie.startswith(f"{SESSION_COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie, "a browser would not send it back over plain HTTP"
    assert (await stranger.get("/status")).status_code == 200

    token = stranger.cookies[SESSION_COOKIE]
    assert (await stranger.delete("/api/session")).status_code == 204
    stranger.cookies.set(SESSION_COOKIE, token)
    assert (await stranger.get("/status")).status_code == 401, "the token itself must be worthless afterwards"


async def test_a_wrong_passphrase_is_told_and_after_some_the_guesser_waits(stranger: httpx.AsyncClient) -> None:
    answers = [await stranger.post("/api/session", json={"passphrase": f"wrong number {n}"}) for n in range(12)]
    assert answers[0].status_code == 401
    assert answers[0].json()["error"]["message"] == "That passphrase is not right."
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    right = await stranger.post("/api/session", json={"passphrase": PASSPHRASE})
    assert right.status_code == 429, "who has to wait is not told that a guess was right"


async def test_a_pairing_link_is_good_once(stranger: httpx.AsyncClient, application: Application) -> None:
    token = application.access.create_pairing()
    assert (await stranger.post("/api/session", json={"pairing": token})).status_code == 201
    assert (await stranger.get("/status")).status_code == 200
    assert (await stranger.post("/api/session", json={"pairing": token})).status_code == 401


@pytest.mark.parametrize("body", [{}, {"passphrase": "a", "pairing": "b"}])
async def test_one_of_both_is_sent(stranger: httpx.AsyncClient, body: dict[str, str]) -> None:
    assert (await stranger.post("/api/session", json=body)).status_code == 400


async def test_nobody_is_led_away(stranger: httpx.AsyncClient) -> None:
    signed_in = await stranger.post("/api/session", json={"passphrase": PASSPHRASE, "next": "//evil.example"})
    assert signed_in.json() == {"next": "/"}
    for target in ("https://evil.example", "//evil.example", "/\\evil.example"):
        response = await stranger.get("/signin", params={"next": target})
        assert (response.status_code, response.headers["location"]) == (303, "/signin")


async def test_the_page_asks_only_who_must_sign_in(stranger: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    page = await stranger.get("/signin")
    assert page.status_code == 200
    assert "Passphrase" in page.text
    here = await client.get("/signin", params={"next": "/c/7"})
    assert (here.status_code, here.headers["location"]) == (303, "/c/7")


async def test_under_https_the_cookie_is_for_https(stranger: httpx.AsyncClient) -> None:
    response = await stranger.post("https://192.168.1.5/api/session", json={"passphrase": PASSPHRASE})
    assert "Secure" in response.headers["set-cookie"]

"""The first browser that opens the page of new data is let in without the passphrase: once, soon after the start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.support.fake_engine import FakeEngine
from webui.api.door.gate import Gate
from webui.api.door.session_cookie import SESSION_COOKIE
from webui.config import Settings
from webui.core.access import FIRST_VISIT_SECONDS, Access
from webui.core.application import Application
from webui.core.keys import ApiKeys
from webui.store.conversations import ConversationStore
from webui.store.database import Database
from webui.store.keys import KeyStore
from webui.store.migrations import MIGRATIONS, create_first_visit
from webui.store.sessions import SessionStore

OWNER, NEIGHBOUR = "172.17.0.1", "192.168.1.77"
HOST = "192.168.1.5:8002"
PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TYPED = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"}


async def show_owner(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(Request(scope).state.owner)(scope, receive, send)


class House:
    """A server over these data, as its visitors see it; `start` again is a restart."""

    def __init__(self, database: Database) -> None:
        self.sessions = SessionStore(database)
        self.keys = ApiKeys(KeyStore(database))
        self.now = 5000.0

    async def start(self, *, passphrase: str | None = None, first_visitor: bool = True) -> str | None:
        """The passphrase, if one was just made."""
        self.access = Access(
            self.sessions,
            passphrase=passphrase,
            first_visitor=first_visitor,
            clock=lambda: self.now,
            hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
        )
        await self.access.load()
        return await self.access.ensure_passphrase()

    def browser(self, address: str = OWNER) -> httpx.AsyncClient:
        gate = Gate(show_owner, Settings(lan=True), lambda: self.access, lambda: self.keys)
        transport = httpx.ASGITransport(gate, client=(address, 50000))
        return httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=PAGE)

    async def is_let_in(self, path: str = "/", *, method: str = "GET", address: str = OWNER, **headers: str) -> bool:
        """Whether a browser that was never here gets a session by this request."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.browser(address) as browser:
            return SESSION_COOKIE in (await browser.request(method, path, headers=sent)).cookies


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.start()
    return house


async def test_the_first_is_let_in_and_stays_and_the_second_is_asked(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.browser(OWNER) as first, house.browser(NEIGHBOUR) as second:
        with caplog.at_level(logging.INFO):
            page = await first.get("/c/7?full=1", headers={"cookie": f"{SESSION_COOKIE}=of-older-data"})
        assert (page.status_code, page.headers["location"]) == (303, "/c/7?full=1")
        assert page.headers["cache-control"] == "no-store"
        assert "HttpOnly" in page.headers["set-cookie"] and "SameSite=lax" in page.headers["set-cookie"]
        assert OWNER in caplog.text
        assert first.cookies[SESSION_COOKIE] not in caplog.text
        assert (await first.get("/c/7")).text.startswith("session ")
        assert (await first.get("/v1/models")).text.startswith("session ")

        asked = await second.get("/")
        assert (asked.status_code, asked.headers["location"]) == (303, "/signin?next=%2F")
        assert SESSION_COOKIE not in second.cookies


async def test_of_two_at_once_one_wins(house: House) -> None:
    visits = [house.is_let_in(address=f"192.168.1.{number}") for number in range(20, 30)]
    assert sorted(await asyncio.gather(*visits)) == [False] * 9 + [True]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/models", {}),
        ("/api/conversations", {}),
        ("/status", {}),
        ("/_nicegui/1/x.js", {}),
        ("/static/css/app.css", {}),
        ("/signin", {}),
        ("/health", {}),
        ("/robots.txt", {}),
        ("/", {"accept": "*/*"}),
        ("/", {"accept": "image/avif,image/webp"}),
        ("/", TYPED | {"sec-fetch-site": "cross-site"}),
        ("/", TYPED | {"sec-fetch-site": "same-site"}),
        ("/", TYPED | {"sec-fetch-dest": "iframe"}),
        ("/", TYPED | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "empty"}),
        ("/", {"x-forwarded-for": "203.0.113.9"}),
        ("/", {"host": "evil.example"}),
        ("/", {"origin": "http://evil.example"}),
    ],
)
async def test_what_is_no_visit_neither_comes_in_nor_takes_the_place(
    house: House, path: str, headers: dict[str, str]
) -> None:
    assert not await house.is_let_in(path, **headers)
    assert await house.is_let_in(**TYPED)


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_only_looking_at_the_page_is_a_visit(house: House, method: str) -> None:
    assert not await house.is_let_in(method=method)
    assert await house.is_let_in()


async def test_after_a_quarter_of_an_hour_everybody_is_asked(house: House) -> None:
    house.now += FIRST_VISIT_SECONDS
    assert not await house.is_let_in()
    await house.start()
    house.now += FIRST_VISIT_SECONDS - 1
    assert await house.is_let_in(), "whoever was late starts the server again"


async def test_nothing_reopens_the_place(house: House) -> None:
    async with house.browser() as first:
        await first.get("/")
        await house.access.renew_passphrase(keep_token=first.cookies[SESSION_COOKIE])
        await house.access.sign_out(first.cookies[SESSION_COOKIE])
    await house.access.sign_out_others(None)
    assert not await house.is_let_in()
    await house.start()
    assert not await house.is_let_in()


async def test_who_knew_the_passphrase_was_first(database: Database) -> None:
    house = House(database)
    passphrase = await house.start()
    token = await house.access.sign_in(passphrase or "", OWNER, "Firefox")
    assert not await house.is_let_in(address=NEIGHBOUR)
    await house.access.sign_out(token)
    await house.start()
    assert not await house.is_let_in(address=NEIGHBOUR)


async def test_a_chosen_passphrase_is_asked_for(database: Database) -> None:
    house = House(database)
    await house.start(passphrase="four good words")
    assert not await house.is_let_in()
    await house.start()
    assert not await house.is_let_in(), "it is still the one that was chosen"


async def test_who_chooses_a_passphrase_in_the_terminal_is_asked_too(house: House) -> None:
    await house.access.change_passphrase("four good words")
    assert not await house.is_let_in()


async def test_data_with_chats_are_somebodys_already(house: House, store: ConversationStore) -> None:
    await store.create()
    assert not await house.is_let_in()


async def test_data_that_had_a_passphrase_before_there_were_first_visitors_are_not_new(tmp_path: Path) -> None:
    path = tmp_path / "glasshouse.db"
    older = await Database.open(path, MIGRATIONS[: MIGRATIONS.index(create_first_visit)])
    async with older.transaction() as connection:
        await connection.execute("INSERT INTO passphrase VALUES (1, 'a hash')")
    await older.close()
    database = await Database.open(path)
    try:
        house = House(database)
        await house.start()
        assert not await house.is_let_in()
    finally:
        await database.close()


async def test_without_the_setting_nobody_is_let_in(database: Database) -> None:
    house = House(database)
    await house.start(first_visitor=False)
    assert not await house.is_let_in()


@pytest.fixture
async def opened(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Application]:
    settings: dict[str, Any] = request.param
    async with Application(Settings(data_dir=tmp_path, lan=True, **settings), engine_factory=FakeEngine) as application:
        yield application


@pytest.mark.parametrize(
    ("opened", "is_awaited"),
    [({"first_visitor": True}, True), ({}, False), ({"first_visitor": True, "sign_in": False}, False),
     ({"first_visitor": True, "passphrase": "four good words"}, False)],
    indirect=["opened"],
)  # fmt: skip
async def test_the_settings_say_whether(opened: Application, is_awaited: bool) -> None:
    assert opened.access.awaits_first_visitor is is_awaited

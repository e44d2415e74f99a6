"""What tests of every room share: a real server, a real browser whose pages are watched, a fresh database.

    async def test_greeting(server: RunningServer, page: Page) -> None:
        await page.goto(server.base_url)
        await expect(page.get_by_label("Message")).to_be_visible()

`server` is one for the whole session of a process: leave it usable. `start_server(...)` starts one of your own.
`open_page(...)` opens further pages in fresh browser contexts (a second person, a phone). Page tests are async
(`playwright.async_api`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright
from pytest_asyncio import is_async_test

from tests.support.browser import PageWatch, chromium_flags, find_chromium
from tests.support.server import RunningServer
from webui.store.conversations import ConversationStore
from webui.store.database import Database

ServerStarter = Callable[..., RunningServer]
PageOpener = Callable[..., Coroutine[Any, Any, Page]]

_server_key = pytest.StashKey[list[RunningServer]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share the session's browser run in the session's event loop, where the browser lives."""
    for item in items:
        if is_async_test(item) and "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_server_key] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failing test shows the last words of the servers that ran beside it."""
    report: Any = yield
    if report.when == "call" and report.failed:
        for server in item.config.stash[_server_key]:
            report.sections.append((f"log of the server on port {server.port}", server.log[-5000:]))
    return report  # type: ignore[no-any-return]  # pluggy's wrappers return what they were sent


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[RunningServer]:
    """The session's server: the starter model, loopback, empty folders at the beginning."""
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        pytestconfig.stash[_server_key].append(running)
        yield running
        pytestconfig.stash[_server_key].remove(running)


@pytest.fixture
def start_server(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[ServerStarter]:
    """`start_server(folder=..., args=[...], env={...}, lan=True, port=...)`; all are stopped when the test ends."""
    with ExitStack() as stack:
        started: list[RunningServer] = []

        def start(*, folder: Path | None = None, **options: Any) -> RunningServer:
            home = folder or tmp_path / f"server{len(started)}"
            home.mkdir(parents=True, exist_ok=True)
            running = stack.enter_context(RunningServer(home, **options))
            started.append(running)
            pytestconfig.stash[_server_key].append(running)
            return running

        yield start
        for running in started:
            pytestconfig.stash[_server_key].remove(running)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=find_chromium(), args=chromium_flags())
        yield chromium
        await chromium.close()


@pytest.fixture
def page_watch() -> PageWatch:
    """Collects the problems of the test's pages; `page_watch.allow("...")` forgives one that is provoked."""
    return PageWatch()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(
    browser: Browser, page_watch: PageWatch, request: pytest.FixtureRequest
) -> AsyncIterator[PageOpener]:
    """`await open_page(base_url=..., viewport=..., color_scheme=...)`: a page in a browser context of its own.

    Options are those of Playwright's `new_context`. Without `base_url` the page belongs to the session's server.
    """
    contexts = []

    async def open_one(*, base_url: str | None = None, **options: Any) -> Page:
        origin = base_url or request.getfixturevalue("server").base_url
        context = await browser.new_context(base_url=origin, **options)
        contexts.append(context)
        context.on("page", lambda page: page_watch.observe(page, origin))
        return await context.new_page()

    yield open_one
    for context in contexts:
        await context.close()
    assert not page_watch.problems, "the page did what it must not do:\n" + "\n".join(page_watch.problems)


@pytest_asyncio.fixture(loop_scope="session")
async def page(server: RunningServer, open_page: PageOpener) -> Page:
    """A desktop page of the session's server; `page.goto("/")` opens it."""
    return await open_page(viewport={"width": 1280, "height": 800})


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "data" / "glasshouse.db")
    yield database
    await database.close()


@pytest_asyncio.fixture
async def store(database: Database) -> ConversationStore:
    return ConversationStore(database)

"""The sign-in page in a real browser, as another machine of the house sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.conftest import PageOpener
from tests.support.browser import PageWatch
from tests.support.pages import DESKTOP, PHONE, find_barriers
from tests.support.server import RunningServer, find_free_port

PASSPHRASE = "lantern & 100% moss"


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("signin")
    settings = {"GLASSHOUSE_PASSPHRASE": PASSPHRASE}
    with RunningServer(folder, lan=True, env=settings, port=find_free_port("0.0.0.0")) as running:
        yield running


async def come_from(open_page: PageOpener, server: RunningServer, address: str, **options: Any) -> Page:
    """A page of a machine with this address, as a proxy would say it. It has to sign in."""
    return await open_page(base_url=server.base_url, extra_http_headers={"X-Forwarded-For": address}, **options)


@pytest_asyncio.fixture(loop_scope="session")
async def page(shared_server: RunningServer, open_page: PageOpener) -> Page:
    return await come_from(open_page, shared_server, "192.0.2.10", viewport=DESKTOP)


async def test_the_passphrase_opens_the_page_that_was_wanted(page: Page, page_watch: PageWatch) -> None:
    page_watch.allow("401")
    await page.goto("/c/somewhere")
    await expect(page).to_have_title("Sign in · Glasshouse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("Type the passphrase first.")
    await page.get_by_label("Passphrase").fill("not it at all")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("That passphrase is not right.")
    await expect(page.get_by_label("Passphrase")).to_be_focused()

    await page.get_by_label("Passphrase").fill(PASSPHRASE)
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_label("Passphrase")).to_have_attribute("type", "text")
    await page.get_by_label("Passphrase").press("Enter")
    await page.wait_for_url("**/c/somewhere")
    await expect(page.get_by_label("Message")).to_be_visible()
    await page.reload()  # once for each browser
    await expect(page.get_by_label("Message")).to_be_visible()


async def test_a_link_with_the_passphrase_needs_no_typing(page: Page, shared_server: RunningServer) -> None:
    await page.goto("/signin#lantern%20%26%20100%25%20moss")
    await page.wait_for_url(shared_server.base_url + "/")
    await expect(page.get_by_label("Message")).to_be_visible()


async def test_who_is_signed_in_does_not_see_what_others_ask(page: Page) -> None:
    await page.goto("/signin#lantern%20%26%20100%25%20moss")
    await expect(page.get_by_label("Message")).to_be_visible()
    await page.goto("/inspect")
    await expect(page.get_by_text("Only people at the machine see this")).to_be_visible()
    await expect(page.get_by_role("switch", name="Record API requests")).to_have_count(0)
    await page.goto("/connect#curl")
    await expect(page.get_by_role("article", name="curl")).to_contain_text("Bearer YOUR-KEY")


async def test_nobody_is_led_to_another_site(page: Page, shared_server: RunningServer) -> None:
    await page.goto("/signin")
    await page.evaluate("history.replaceState(null, '', '/signin?next=https://example.org/')")
    await page.get_by_label("Passphrase").fill(PASSPHRASE)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(shared_server.base_url + "/")
    assert page.url == shared_server.base_url + "/"


async def test_who_guesses_has_to_wait_and_sees_how_long(page: Page, page_watch: PageWatch) -> None:
    page_watch.allow("401")
    page_watch.allow("429")
    await page.goto("/signin")
    submit = page.get_by_role("button", name="Sign in")
    for guess in range(12):
        await page.get_by_label("Passphrase").fill(f"guess number {guess}")
        await submit.click()
        await expect(page.get_by_role("alert")).not_to_be_empty()
        if "Too many" in await page.get_by_role("alert").inner_text():
            break
    await expect(page.get_by_role("alert")).to_contain_text("Too many wrong attempts. Try again in ")
    await expect(submit).to_be_disabled()
    await expect(submit).to_be_enabled(timeout=15_000)
    await expect(page.get_by_role("alert")).to_be_empty()


async def test_a_server_that_is_gone_is_said(page: Page, page_watch: PageWatch) -> None:
    page_watch.allow("ERR_CONNECTION_REFUSED")
    await page.goto("/signin")
    await page.route("**/api/session", lambda route: route.abort("connectionrefused"))
    await page.get_by_label("Passphrase").fill(PASSPHRASE)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Glasshouse does not answer.")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_on_a_phone_there_is_room_for_fingers_and_nobody_is_kept_out(
    theme: str, shared_server: RunningServer, open_page: PageOpener
) -> None:
    phone = await come_from(
        open_page, shared_server, "192.0.2.11", viewport=PHONE, color_scheme=theme, has_touch=True, is_mobile=True
    )
    await phone.goto("/")
    for control in (phone.get_by_label("Passphrase"), phone.get_by_role("button", name="Sign in")):
        box = await control.bounding_box()
        assert box
        assert box["height"] >= 44
    size = "(field) => parseFloat(getComputedStyle(field).fontSize)"
    assert await phone.get_by_label("Passphrase").evaluate(size) >= 16  # a smaller one makes iPhones zoom
    assert await phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert await find_barriers(phone) == ""

"""The Share dialog in a real browser: alone it says how; shared it lets one more device in, and puts others out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.conftest import PageOpener
from tests.support.browser import PageWatch
from tests.support.pages import DESKTOP, PHONE, find_barriers, open_dialog
from tests.support.server import RunningServer, find_free_port
from webui.ui.components.share_dialog import draw_code

PASSPHRASE = "a quiet green room"


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("share"), lan=True, port=find_free_port("0.0.0.0")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(shared_server: RunningServer, open_page: PageOpener) -> Page:
    """A page on the machine that serves; it needs no sign-in."""
    return await open_page(
        base_url=shared_server.base_url, viewport=DESKTOP, permissions=["clipboard-read", "clipboard-write"]
    )


async def open_elsewhere(open_page: PageOpener, server: RunningServer, **options: Any) -> Page:
    """A page of another machine: it comes through a proxy, so it has to sign in although the address is loopback."""
    return await open_page(base_url=server.base_url, extra_http_headers={"X-Forwarded-For": "192.0.2.77"}, **options)


async def copy_link(page: Page, dialog: Locator) -> str:
    """The link that the QR code holds, as a path of this server."""
    await dialog.get_by_role("button", name="Copy link").click()
    await expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    link = str(await page.evaluate("navigator.clipboard.readText()"))
    return link[link.index("/signin#pair=") :]


async def test_alone_it_says_how_to_share(open_page: PageOpener) -> None:
    page = await open_page(viewport=DESKTOP)
    dialog = await open_dialog(page, "Share")
    await expect(dialog).to_contain_text("Only this machine can open Glasshouse now.")
    await expect(dialog).to_contain_text("serve --lan")
    await expect(dialog.get_by_role("img")).to_have_count(0)


async def test_the_code_signs_one_phone_in_and_then_no_more(
    page: Page, shared_server: RunningServer, open_page: PageOpener, page_watch: PageWatch
) -> None:
    page_watch.allow("401")
    dialog = await open_dialog(page, "Share")
    await expect(dialog.get_by_role("img", name="QR code that signs a phone in")).to_be_visible()
    await expect(dialog).to_contain_text("For one device · 10 min left")
    await expect(dialog).to_contain_text("Everybody who is signed in sees the same chats and models.")
    link = await copy_link(page, dialog)

    phone = await open_elsewhere(open_page, shared_server, viewport=PHONE)
    await phone.goto(link)
    await phone.wait_for_url(shared_server.base_url + "/")
    await expect(phone.get_by_label("Message")).to_be_visible()

    second = await open_elsewhere(open_page, shared_server, viewport=PHONE)
    await second.goto(link)
    await expect(second.get_by_role("alert")).to_contain_text("This sign-in link was used already or is too old.")
    assert second.url == shared_server.base_url + "/signin"  # the secret is out of the address bar

    await dialog.get_by_role("button", name="New code").click()
    await expect(dialog.get_by_role("button", name="Copy link")).to_be_visible()
    assert await copy_link(page, dialog) != link


async def test_a_new_passphrase_puts_the_others_out(
    page: Page, shared_server: RunningServer, open_page: PageOpener
) -> None:
    dialog = await open_dialog(page, "Share")
    other = await open_elsewhere(open_page, shared_server, viewport=DESKTOP)
    await other.goto(await copy_link(page, dialog))
    await expect(other.get_by_label("Message")).to_be_visible()

    await dialog.get_by_label("New passphrase").fill("short")
    await dialog.get_by_role("button", name="Change passphrase").click()
    await expect(dialog.get_by_role("alert")).to_have_text("Choose a passphrase of at least 8 characters.")
    await dialog.get_by_label("New passphrase").fill(PASSPHRASE)
    await dialog.get_by_role("button", name="Change passphrase").click()
    await expect(dialog.get_by_role("status").first).to_have_text("The passphrase is changed.")

    await other.wait_for_url("**/signin**")
    await other.get_by_label("Passphrase").fill(PASSPHRASE)
    await other.get_by_role("button", name="Sign in").click()
    await expect(other.get_by_label("Message")).to_be_visible()

    await dialog.get_by_role("button", name="Sign out other devices").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Sign out").click()
    await expect(dialog.get_by_role("status").first).to_have_text("All other devices are signed out.")
    await other.wait_for_url("**/signin**")


async def test_a_passphrase_can_be_made_and_is_shown_once(page: Page) -> None:
    dialog = await open_dialog(page, "Share")
    await dialog.get_by_role("button", name="Make one for me").click()
    await expect(dialog.get_by_role("status").first).to_have_text("The new passphrase, shown only now:")
    made = dialog.locator("code").last
    text = await made.inner_text()
    assert len(text.split("-")) == 4
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Share", exact=True).click()
    await expect(dialog.get_by_text(text)).to_have_count(0)


@pytest.mark.parametrize(("theme", "viewport"), [("dark", DESKTOP), ("light", PHONE)], ids=["desktop", "phone"])
async def test_nobody_is_kept_out(
    theme: str, viewport: dict[str, int], shared_server: RunningServer, open_page: PageOpener
) -> None:
    page = await open_page(base_url=shared_server.base_url, viewport=viewport, color_scheme=theme)
    await page.goto("/")
    await expect(page.get_by_label("Message")).to_be_visible()
    await page.evaluate("import('glasshouse/shell.js').then((shell) => shell.openDialog('share'))")
    code = page.get_by_role("img", name="QR code that signs a phone in")
    await expect(code).to_be_visible()
    assert await find_barriers(page) == ""
    colours = "(code) => [...code.children].map((part) => getComputedStyle(part).fill)"
    assert await code.evaluate(colours) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]  # scanners want dark on light
    assert await page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


def test_the_code_has_its_quiet_zone() -> None:
    code = draw_code("http://192.168.1.20:8002/signin#pair=abcdefghijklmnopqrstuvwxyz012345")
    modules = {tuple(map(int, part.split("h")[0].split())) for part in code["path"].split("M")[1:]}
    size = code["size"]
    assert min(min(module) for module in modules) == 4
    assert max(max(module) for module in modules) == size - 5
    finder = {(4, 4), (10, 4), (4, 10), (size - 5, 4), (4, size - 5)}
    assert finder <= modules

"""The settings dialog in a real browser: what is chosen holds, for all chats or for one, after a restart too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.conftest import PageOpener, ServerStarter
from tests.support.pages import DESKTOP, PHONE, find_barriers, model_card, open_dialog, open_models, starter_file
from tests.support.server import RunningServer


@pytest.fixture(scope="module")
def settings_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("settings")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(settings_server: RunningServer, open_page: PageOpener) -> Page:
    return await open_page(base_url=settings_server.base_url, viewport=DESKTOP)


async def settle(dialog: Locator, label: str, value: str) -> None:
    """Type into a field, leave it, and see that it is saved."""
    field = dialog.get_by_label(label, exact=True)
    await field.fill(value)
    await field.press("Tab")
    await expect(dialog.get_by_text("Saved")).to_be_visible()


async def test_settings_hold_after_a_restart(start_server: ServerStarter, open_page: PageOpener) -> None:
    server = start_server()
    page = await open_page(base_url=server.base_url, viewport=DESKTOP)
    dialog = await open_dialog(page, "Settings")
    await settle(dialog, "System prompt", "Answer like a lighthouse keeper.")
    await settle(dialog, "Temperature", "0.3")
    await settle(dialog, "Longest answer", "400")
    await dialog.get_by_role("tab", name="Models").click()
    await dialog.get_by_label("Context").select_option("4k tokens")
    await expect(dialog.get_by_text("Saved")).to_be_visible()

    await page.close()
    server.stop()
    server.start()
    page = await open_page(base_url=server.base_url, viewport=DESKTOP)
    dialog = await open_dialog(page, "Settings")
    await expect(dialog.get_by_label("System prompt")).to_have_value("Answer like a lighthouse keeper.")
    await expect(dialog.get_by_label("Temperature", exact=True)).to_have_value("0.3")
    await expect(dialog.get_by_label("Longest answer")).to_have_value("400")
    await expect(dialog.get_by_label("Seed")).to_have_value("")
    await dialog.get_by_role("button", name="Reset to defaults").click()
    await expect(dialog.get_by_label("Temperature", exact=True)).to_have_value("0.7")
    await expect(dialog.get_by_label("Longest answer")).to_have_value("")
    await dialog.get_by_role("tab", name="Models").click()
    await expect(dialog.get_by_label("Context")).to_have_value("4096")


async def test_numbers_out_of_range_are_moved_into_it(page: Page) -> None:
    dialog = await open_dialog(page, "Settings")
    await settle(dialog, "Top-p", "7")
    await expect(dialog.get_by_label("Top-p", exact=True)).to_have_value("1")
    await settle(dialog, "Seed", "-5")
    await expect(dialog.get_by_label("Seed")).to_have_value("0")
    await dialog.get_by_role("button", name="Reset to defaults").click()


async def test_one_chat_can_have_settings_of_its_own(page: Page) -> None:
    dialog = await open_dialog(page, "Settings")
    await expect(dialog.get_by_role("radio", name="This chat")).to_be_disabled()  # there is none yet
    await settle(dialog, "Longest answer", "8")
    await settle(dialog, "System prompt", "You are brief.")
    await page.keyboard.press("Escape")
    await page.get_by_label("Message").fill("Hello")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/c/*")

    await page.get_by_role("button", name="Settings").click()
    await dialog.get_by_text("This chat", exact=True).click()
    await expect(dialog.get_by_label("System prompt")).to_have_attribute("placeholder", "You are brief.")
    await expect(dialog.get_by_label("Longest answer")).to_have_value("8")
    await settle(dialog, "System prompt", "Speak in rhymes.")
    await settle(dialog, "Temperature", "1.2")
    await page.reload()
    await page.get_by_role("button", name="Settings").click()
    await expect(dialog.get_by_label("System prompt")).to_have_value("You are brief.")
    await expect(dialog.get_by_label("Temperature", exact=True)).to_have_value("0.7")
    await dialog.get_by_text("This chat", exact=True).click()
    await expect(dialog.get_by_label("System prompt")).to_have_value("Speak in rhymes.")
    await expect(dialog.get_by_label("Temperature", exact=True)).to_have_value("1.2")

    await dialog.get_by_role("button", name="Same as all chats").click()
    await expect(dialog.get_by_label("Temperature", exact=True)).to_have_value("0.7")


async def test_a_number_can_be_typed_while_the_dialog_draws_itself_anew(page: Page) -> None:
    dialog = await open_dialog(page, "Settings")
    await settle(dialog, "Temperature", "0.5")
    longest = dialog.get_by_label("Longest answer")
    await longest.fill("4")
    await expect(dialog.get_by_text("Saved")).to_be_hidden()  # its time is over: the dialog is drawn anew
    await longest.press_sequentially("00")
    await longest.press("Tab")
    await expect(dialog.get_by_text("Saved")).to_be_visible()
    await expect(longest).to_have_value("400")
    await dialog.get_by_role("button", name="Reset to defaults").click()
    await expect(longest).to_have_value("")


async def test_the_theme_changes_at_once_and_stays(page: Page) -> None:
    dialog = await open_dialog(page, "Settings")
    await dialog.get_by_role("tab", name="Appearance").click()
    html = page.locator("html")
    await expect(html).to_have_attribute("data-theme", "light")  # the browser's own scheme in tests
    await dialog.get_by_text("Dark", exact=True).click()
    await expect(html).to_have_attribute("data-theme", "dark")
    await page.reload()
    await expect(html).to_have_attribute("data-theme", "dark")
    dialog = await open_dialog(page, "Settings")
    await dialog.get_by_role("tab", name="Appearance").click()
    await expect(dialog.get_by_role("radio", name="Dark")).to_be_checked()
    await dialog.get_by_text("System", exact=True).click()
    await expect(html).to_have_attribute("data-theme", "light")


async def test_a_further_folder_is_checked_read_and_never_written(page: Page, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    shutil.copy(starter_file(), shelf / "Lantern-135M.gguf")
    await open_models(page)
    dialog = await open_dialog(page, "Settings")
    await dialog.get_by_role("tab", name="Models").click()
    for wrong, why in (
        (str(tmp_path / "nowhere"), "there is no such folder."),
        ("models", "write the whole path"),
        (str(shelf / "Lantern-135M.gguf"), "that is a file."),
    ):
        await dialog.get_by_label("Folder to add").fill(wrong)
        await dialog.get_by_role("button", name="Add folder").click()
        await expect(dialog.get_by_role("alert")).to_contain_text(f"“{wrong}” cannot be used: {why}")
    await dialog.get_by_label("Folder to add").fill(f"{shelf}{os.sep}")
    await dialog.get_by_role("button", name="Add folder").click()
    await expect(dialog.get_by_text("Saved")).to_be_visible()
    await expect(dialog.get_by_label("Folder to add")).to_have_value("")

    panel = await open_models(page)
    card = model_card(panel, "Lantern 135M")
    await expect(card).to_be_visible()
    await card.get_by_role("button", name="Options of Lantern 135M").click()
    await expect(card.get_by_label("Context")).to_be_visible()
    await expect(card.get_by_role("button", name="Delete")).to_have_count(0)  # not Glasshouse's to delete

    dialog = await open_dialog(page, "Settings")
    await dialog.get_by_role("tab", name="Models").click()
    await dialog.get_by_role("button", name=f"Remove {shelf}").click()
    await expect(dialog.get_by_text(str(shelf))).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(card).to_have_count(0)


async def test_about_says_what_this_is(page: Page, settings_server: RunningServer) -> None:
    dialog = await open_dialog(page, "Settings")
    await dialog.get_by_role("tab", name="About").click()
    await expect(dialog).to_contain_text(str(settings_server.data_dir))
    docs = dialog.get_by_role("link", name="API documentation")
    assert (await page.request.get(str(await docs.get_attribute("href")))).ok


@pytest.mark.parametrize(("theme", "viewport"), [("dark", DESKTOP), ("light", PHONE)], ids=["desktop", "phone"])
async def test_nobody_is_kept_out(
    theme: str, viewport: dict[str, int], settings_server: RunningServer, open_page: PageOpener
) -> None:
    page = await open_page(base_url=settings_server.base_url, viewport=viewport, color_scheme=theme)
    await page.goto("/")
    await expect(page.get_by_label("Message")).to_be_visible()
    await page.evaluate("import('glasshouse/shell.js').then((shell) => shell.openDialog('settings'))")
    dialog = page.get_by_role("dialog", name="Settings")
    for tab in ("Answers", "Models", "Appearance", "About"):
        await dialog.get_by_role("tab", name=tab).click()
        assert await find_barriers(page) == "", tab
    assert await page.evaluate("document.documentElement.scrollWidth") == viewport["width"]

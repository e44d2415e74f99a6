"""The Keys tab of the settings, in a real browser: a person makes a key for a program, and takes it back."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import expect

from tests.conftest import PageOpener
from tests.support.pages import DESKTOP, PHONE, find_barriers, open_dialog
from tests.ui.conftest import ChatServer


async def test_a_key_is_made_copied_used_and_revoked(chat_server: ChatServer, open_page: PageOpener) -> None:
    page = await open_page(
        base_url=chat_server.base_url, viewport=DESKTOP, permissions=["clipboard-read", "clipboard-write"]
    )
    dialog = await open_dialog(page, "Settings")
    await dialog.get_by_role("tab", name="Keys").click()
    await expect(dialog).to_contain_text("Programs on this machine need none.")
    make = dialog.get_by_role("button", name="Make the key")
    await expect(make).to_be_disabled()
    await dialog.get_by_label("Which program is it for?").fill("Editor on the laptop")
    await dialog.get_by_text("How long, and how much").click()
    await dialog.get_by_label("Requests a minute").fill("1")
    await make.click()

    new = dialog.get_by_role("region", name="The new key")
    await new.get_by_role("button", name="Copy key").click()
    await page.wait_for_function("navigator.clipboard.readText().then((text) => text.startsWith('gh-'))")
    token = str(await page.evaluate("navigator.clipboard.readText()"))
    await expect(new).to_contain_text(f"{chat_server.base_url}/v1")
    await new.get_by_role("button", name="I have copied it").click()
    await expect(dialog.get_by_text(token)).to_have_count(0)

    url, sent = f"{chat_server.base_url}/v1/tokenize-nothing", {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(trust_env=False, headers=sent) as client:
        assert (await client.post(url)).headers["x-ratelimit-remaining-requests"] == "0"
        assert (await client.post(url)).status_code == 429
        row = dialog.get_by_role("listitem", name="Editor on the laptop")
        await dialog.get_by_role("tab", name="About").click()
        await dialog.get_by_role("tab", name="Keys").click()
        await expect(row).to_contain_text("1 request, 0 tokens · last used just now")
        await expect(row).to_contain_text("1 requests a minute")

        await dialog.get_by_label("Which program is it for?").fill("editor on THE laptop")
        await make.click()
        await expect(dialog.get_by_role("alert")).to_contain_text("There is a key named")

        await row.get_by_role("button", name="Revoke Editor on the laptop").click()
        question = page.get_by_role("alertdialog")
        await expect(question).to_contain_text("stopped at once")
        await question.get_by_role("button", name="Revoke").click()
        await expect(row).to_have_count(0)
        assert (await client.post(url)).status_code == 401


@pytest.mark.parametrize(("theme", "viewport"), [("dark", DESKTOP), ("light", PHONE)], ids=["desktop", "phone"])
async def test_nobody_is_kept_out(
    theme: str, viewport: dict[str, int], chat_server: ChatServer, open_page: PageOpener
) -> None:
    page = await open_page(base_url=chat_server.base_url, viewport=viewport, color_scheme=theme)
    await page.goto("/")
    await expect(page.get_by_label("Message")).to_be_visible()
    await page.evaluate("import('glasshouse/shell.js').then((shell) => shell.openDialog('settings'))")
    dialog = page.get_by_role("dialog", name="Settings")
    await dialog.get_by_role("tab", name="Keys").click()
    await dialog.get_by_label("Which program is it for?").fill(
        f"A program with a long name, {theme}, for everybody here"
    )
    await dialog.get_by_text("How long, and how much").click()
    await expect(dialog.get_by_label("Answers at once")).to_be_visible()
    assert await find_barriers(page) == ""
    await dialog.get_by_role("button", name="Make the key").click()
    await expect(dialog.get_by_role("button", name="Copy key")).to_be_visible()
    assert await find_barriers(page) == ""
    assert await page.evaluate("document.documentElement.scrollWidth") == viewport["width"]

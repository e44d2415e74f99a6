"""The page for everybody: phones, keyboards, screen readers, both themes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page, expect

from tests.conftest import PageOpener
from tests.ui.conftest import ChatServer

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


async def find_violations(page: Page) -> list[str]:
    """What axe-core finds wrong, one line each."""
    await page.evaluate(AXE_SCRIPT)
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {json.dumps(node['target'])} {node.get('failureSummary', '')}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_axe_finds_nothing(
    open_page: PageOpener, chat_server: ChatServer, theme: str, device: dict[str, Any]
) -> None:
    page = await open_page(base_url=chat_server.base_url, color_scheme=theme, **device)
    for path in (f"/c/{chat_server.chats['Rich']}", "/"):
        await page.goto(path)
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        await expect(page.get_by_role("textbox", name="Message")).to_be_visible()
        assert await find_violations(page) == []


async def test_a_phone_shows_everything_without_sideways_scrolling(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_page(base_url=chat_server.base_url, **PHONE)
    for name in ("Rich", "Hostile", "Long"):
        await page.goto(f"/c/{chat_server.chats[name]}")
        await expect(page.locator(".prose")).to_be_visible()
        widths = await page.evaluate(
            "[document.documentElement, document.querySelector('.thread')].map(e => e.scrollWidth - e.clientWidth)"
        )
        assert widths == [0, 0], name
    await page.goto("/")
    small = await page.evaluate(
        """[...document.querySelectorAll('button, a[href], textarea')]
            .filter(e => e.checkVisibility({visibilityProperty: true}))
            .map(e => [e.getAttribute('aria-label') || e.innerText, e.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0 && (box.height < 42 || box.width < 42)).map(([name]) => name)"""
    )
    assert small == []
    assert await page.get_by_role("textbox", name="Message").evaluate("e => getComputedStyle(e).fontSize") == "16px"


async def test_the_side_list_is_a_drawer_on_the_phone(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_page(base_url=chat_server.base_url, **PHONE)
    await page.goto(f"/c/{chat_server.chats['Rich']}")
    new_chat = page.get_by_role("button", name="New chat", exact=True)
    await expect(new_chat).to_be_hidden()
    toggle = page.get_by_role("button", name="Conversations", exact=True)
    await toggle.click()
    await expect(new_chat).to_be_visible()
    for _ in range(14):  # the focus stays inside
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('.side') !== null")
    await page.keyboard.press("Escape")
    await expect(new_chat).to_be_hidden()
    await expect(toggle).to_be_focused()

    await toggle.click()
    await page.get_by_role("link", name="Long", exact=True).click()
    await expect(new_chat).to_be_hidden()
    await expect(page.get_by_text("Paragraph 39.")).to_be_visible()


async def swipe(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """One finger from here to there."""
    session = await page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": start[0], "y": start[1]}]),
        ("touchMove", [{"x": end[0], "y": end[1]}]),
        ("touchEnd", []),
    ):
        await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


async def test_a_swipe_brings_the_side_list_and_puts_it_away(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_page(base_url=chat_server.base_url, **PHONE)
    await page.goto(f"/c/{chat_server.chats['Long']}")
    new_chat = page.get_by_role("button", name="New chat", exact=True)
    await expect(page.get_by_text("Paragraph 39.")).to_be_visible()
    await swipe(page, (60, 400), (260, 410))
    await expect(new_chat).to_be_visible()
    await swipe(page, (260, 400), (60, 390))
    await expect(new_chat).to_be_hidden()


async def test_enter_sends_on_a_desktop_and_makes_a_line_on_a_phone(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    for device, is_phone in ((PHONE, True), (DESKTOP, False)):
        page = await open_page(base_url=chat_server.base_url, **device)
        await page.goto("/")
        box = page.get_by_role("textbox", name="Message")
        await box.fill("one")
        await box.press("Shift+Enter")
        await box.press_sequentially("two")
        await expect(box).to_have_value("one\ntwo")
        await box.press("Enter")
        if is_phone:
            await expect(box).to_have_value("one\ntwo\n")
        else:
            await expect(page.locator(".mine")).to_have_text("one\ntwo")
            await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible(timeout=60_000)


async def test_enter_that_ends_a_composition_does_not_send(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_page(base_url=chat_server.base_url, **DESKTOP)
    await page.goto("/")
    box = page.get_by_role("textbox", name="Message")
    await box.fill("にほんご")
    await box.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True})
    await expect(box).to_have_value("にほんご")
    await expect(page.locator(".mine")).to_have_count(0)


async def test_the_theme_is_there_before_the_first_paint(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_page(base_url=chat_server.base_url, color_scheme="light", **DESKTOP)
    await page.goto("/")
    await page.evaluate("localStorage.setItem('glasshouse.theme', 'dark')")
    await page.goto("/", wait_until="commit")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.locator('meta[name="theme-color"]')).to_have_attribute("content", "#081017")

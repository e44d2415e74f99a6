"""The chat page in a real browser with the real starter model: from the first word to the deleted chat."""

from __future__ import annotations

import asyncio
import re

import psutil
from playwright.async_api import Page, expect

from tests.conftest import PageOpener
from tests.ui.conftest import ChatServer

STORY = "Tell me a long story about a lighthouse keeper and the sea."
ANSWER_MS = 60_000  # a busy machine with two cores is slow
DESKTOP = {"width": 1280, "height": 800}


async def open_chat(open_page: PageOpener, server: ChatServer, path: str = "/") -> Page:
    page = await open_page(base_url=server.base_url, viewport=DESKTOP)
    await page.goto(path)
    await expect(page.get_by_role("textbox", name="Message")).to_be_visible()
    return page


async def say(page: Page, text: str) -> None:
    await page.get_by_role("textbox", name="Message").fill(text)
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_role("textbox", name="Message")).to_have_value("", timeout=ANSWER_MS)


async def wait_for_words(page: Page, num_characters: int = 40) -> str:
    """The last answer's text, once there is some."""
    await page.wait_for_function(
        "n => [...document.querySelectorAll('article.answer .prose')].at(-1)?.innerText.length >= n",
        arg=num_characters,
        timeout=ANSWER_MS,
    )
    return await page.locator("article.answer .prose").last.inner_text()


async def wait_until_idle(page: Page) -> None:
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible(timeout=ANSWER_MS)


async def test_an_answer_streams_and_goes_on_after_a_reload(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server)
    await say(page, STORY)
    early = await wait_for_words(page)
    await expect(page).to_have_url(re.compile(r"/c/\w+$"))
    await expect(page).to_have_title(re.compile("Tell me a long story"))
    await expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()

    await page.reload()

    later = await wait_for_words(page, len(early) + 40)
    assert later.startswith(early[:30])
    await wait_until_idle(page)
    whole = await page.locator("article.answer .prose").last.inner_text()
    assert len(whole) >= len(later)
    await expect(page.get_by_role("status").filter(has_text=whole[:40])).to_have_count(1)  # read out once, when whole
    stats = page.locator("article.answer .stats").last
    await expect(stats).to_contain_text(re.compile(r"tok/s · first word [\d.]+ m?s"))
    await expect(page.get_by_label(re.compile("of 2,048 tokens of context used"))).to_be_visible()


async def test_stop_keeps_what_is_there_and_regenerate_answers_anew(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server)
    await say(page, STORY)
    await wait_for_words(page)
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("article.answer")).to_have_attribute("data-state", "stopped")
    await expect(page.locator(".stats")).to_contain_text("Stopped")
    assert len(await page.locator(".prose").inner_text()) >= 40

    await page.get_by_role("button", name="Regenerate").click()
    await expect(page.locator("article.answer")).to_have_attribute("data-state", re.compile("streaming|complete"))
    await wait_until_idle(page)
    await expect(page.locator("article.answer")).to_have_count(1)
    await expect(page.locator("article.answer")).to_have_attribute("data-state", "complete")


async def last_words(page: Page) -> str:
    return await page.locator(".prose").last.inner_text()


async def test_two_browsers_stream_at_once_and_see_each_others_chats(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    anna = await open_chat(open_page, chat_server)
    ben = await open_chat(open_page, chat_server)
    await say(anna, STORY)
    await say(ben, "Count the stars for me, one by one, and name them all.")
    await wait_for_words(anna)
    await wait_for_words(ben)
    both_at_once = [await page.get_by_role("button", name="Stop", exact=True).count() for page in (anna, ben)]

    third = await open_chat(open_page, chat_server, anna.url.removeprefix(chat_server.base_url))
    for page in (anna, ben, third):
        await wait_until_idle(page)

    assert 1 in both_at_once
    async with asyncio.timeout(10):  # words are drawn a moment after they came
        while (words := await last_words(anna)) != await last_words(third):  # noqa: ASYNC110 - a page tells nothing
            await asyncio.sleep(0.05)
    assert words != await last_words(ben)
    assert await ben.locator(".chat-row").count() == await anna.locator(".chat-row").count()


async def test_rename_delete_and_the_address_of_a_chat(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server)
    await say(page, "Name one fruit.")
    await wait_until_idle(page)
    address = page.url

    row = page.locator(".chat-row.current")
    await row.hover()
    await row.get_by_role("button", name="Options of").click()
    await page.get_by_role("menuitem", name="Rename").click()
    await page.get_by_label("Title").fill("Fruit of the day")
    await page.keyboard.press("Enter")
    await expect(row.get_by_role("link")).to_have_text("Fruit of the day")
    await expect(page).to_have_title("Fruit of the day · Glasshouse")

    await row.get_by_role("link").focus()
    await page.keyboard.press("Delete")
    await page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("link", name="Fruit of the day")).to_have_count(0)
    await expect(page).to_have_url(f"{chat_server.base_url}/")

    await page.goto(address)
    await expect(page.get_by_text("This chat does not exist (any more).")).to_be_visible()
    await page.get_by_role("button", name="Start a new chat").click()
    await expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()


async def test_going_back_and_forward_loads_nothing(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Rich']}")
    await page.evaluate("window.isSamePage = true")
    await page.get_by_role("link", name="Long", exact=True).click()
    await expect(page.get_by_text("Paragraph 39.")).to_be_visible()
    await expect(page).to_have_title("Long · Glasshouse")
    await page.keyboard.press("Control+j")
    await expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()

    await page.go_back()
    await expect(page.get_by_text("Paragraph 39.")).to_be_visible()
    await page.go_back()
    await expect(page.locator(".code")).to_be_visible()
    await page.go_forward()
    await expect(page.get_by_text("Paragraph 39.")).to_be_visible()
    assert await page.evaluate("window.isSamePage")


async def test_a_draft_survives_a_reload_and_belongs_to_its_chat(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Rich']}")
    box = page.get_by_role("textbox", name="Message")
    await box.fill("half a thou")
    await page.reload()
    await expect(box).to_have_value("half a thou")
    await page.get_by_role("link", name="Long", exact=True).click()
    await expect(box).to_have_value("")
    await expect(page).to_have_url(re.compile(chat_server.chats["Long"]))
    await page.go_back()
    await expect(box).to_have_value("half a thou")


async def test_what_is_typed_before_a_new_chat_is_shown_belongs_to_it(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Rich']}")
    box = page.get_by_role("textbox", name="Message")
    await page.evaluate("""() => {
        [...document.querySelectorAll("button")].find((button) => button.textContent.includes("New chat")).click();
        const box = document.querySelector("textarea[name=message]");
        box.value = "quick words";
        box.dispatchEvent(new InputEvent("input"));
    }""")
    await expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    await expect(box).to_have_value("quick words")
    await page.go_back()
    await expect(page.locator(".code")).to_be_visible()
    await expect(box).to_have_value("")
    await page.go_forward()
    await expect(box).to_have_value("quick words")
    await box.fill("")


async def test_without_a_connection_nothing_is_lost(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Spare']}")
    box = page.get_by_role("textbox", name="Message")
    await page.wait_for_function("window.did_handshake")
    await page.evaluate("window.socket.disconnect()")
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    await box.fill("Are you there?")
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_text("No connection just now.")).to_be_visible()
    await expect(box).to_have_value("Are you there?")

    await page.evaluate("window.socket.connect()")
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_have_count(0)
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.locator(".mine").last).to_have_text("Are you there?")
    await expect(box).to_have_value("")
    await wait_until_idle(page)


async def test_a_huge_paste_is_taken_and_answered_with_both_numbers(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server)
    await page.get_by_role("textbox", name="Message").fill(
        "glass house " * 100_000
    )  # 1.2 MB: more than the socket takes
    await page.get_by_role("button", name="Send", exact=True).click()
    card = page.locator(".error-card")
    await expect(card).to_contain_text(
        re.compile(r"[\d,]+ tokens long, and the model reads at most 2,048"), timeout=60_000
    )
    await expect(page.get_by_role("button", name="Show all (1,200,000 characters)")).to_be_visible()
    await expect(page.get_by_role("textbox", name="Message")).to_have_value("")


async def test_a_killed_model_ends_in_a_sentence_and_starts_again(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server)
    await say(page, STORY)
    written = await wait_for_words(page)
    for child in psutil.Process(chat_server.running.pid).children():
        child.kill()
    card = page.locator(".error-card")
    await expect(card).to_contain_text("The model stopped unexpectedly", timeout=ANSWER_MS)
    assert (await page.locator(".prose").inner_text()).startswith(written[:30])
    await expect(page.locator(".pill .dot")).to_have_class(re.compile("failed"))

    await card.get_by_role("button", name="Regenerate").click()
    await expect(card).to_have_count(0)
    await wait_for_words(page)
    await expect(page.locator(".pill .dot")).to_have_class(re.compile("ready"))
    await page.get_by_role("button", name="Stop", exact=True).click()
    await wait_until_idle(page)

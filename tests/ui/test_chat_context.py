"""What the page tells of the context: what the model no longer sees, what was read ahead, how a cut answer goes on."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from playwright.async_api import expect

from tests.conftest import PageOpener
from tests.support.pages import find_barriers, wait_until
from tests.support.server import RunningServer
from tests.ui.conftest import ChatServer
from tests.ui.seeded_chats import CUT_ANSWER
from tests.ui.test_chat_page import ANSWER_MS, open_chat, say, wait_for_words, wait_until_idle

LETTER = "Dear keeper, please tell me what you see from the top of the tower when the fog comes in. " * 6


def count(server: ChatServer, metric: str) -> int:
    """What the engine says it has done, all labels together."""
    metrics = httpx.get(f"{server.base_url}/metrics").text
    return sum(int(float(value)) for value in re.findall(rf"^glasshouse_{metric}\S* (\S+)$", metrics, re.MULTILINE))


async def test_the_thread_says_what_the_model_no_longer_sees(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Outgrown']}")
    marker = page.get_by_role("note")
    await expect(marker).to_have_text("The model no longer sees the first 4 messages")
    assert await marker.evaluate("e => e.nextElementSibling.classList.contains('mine')")  # it stands above its turn
    await expect(page.locator(".stats")).to_contain_text("64 read while you typed")
    assert await find_barriers(page) == ""


async def test_an_answer_that_was_cut_goes_on_in_its_place(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Outgrown']}")
    await page.get_by_role("button", name="Continue").click()
    assert (await wait_for_words(page, len(CUT_ANSWER) + 10)).startswith(CUT_ANSWER)
    await wait_until_idle(page)
    answer = page.locator("article.answer")
    await expect(answer).to_have_count(1)
    await page.reload()
    await expect(answer.locator(".prose")).to_contain_text(CUT_ANSWER)


async def test_a_message_is_read_while_it_is_typed(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server)
    before = count(chat_server, "requests_total")
    await say(page, "Hello")
    await wait_until(
        lambda: count(chat_server, "requests_total") >= before + 2, "the answer and a title are written", 60
    )
    before = count(chat_server, "prompt_tokens_total")
    await page.get_by_role("textbox", name="Message").fill(LETTER)
    await wait_until(lambda: count(chat_server, "prompt_tokens_total") > before + 100, "the draft is read", 60)
    await say(page, LETTER)
    await wait_until_idle(page)
    await expect(page.locator(".stats").last).to_contain_text("read while you typed", timeout=ANSWER_MS)


async def test_who_waits_in_line_reads_the_place_and_how_long_about(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server)
    describe = """(waiting) => import("glasshouse/message_view.js").then(
        ({describeWaiting}) => describeWaiting({phase: "queued", progress: 0, ...waiting}, "")
    )"""
    assert await page.evaluate(describe, {"position": 2, "seconds": 19.6}) == "2nd in line, about 20 s"
    assert await page.evaluate(describe, {"position": 1, "seconds": 200}) == "Next in line, about 3 min"
    assert await page.evaluate(describe, {"position": 3, "seconds": None}) == "3rd in line"


async def test_a_chat_gets_a_title_that_is_about_it(open_page: PageOpener, chat_server: ChatServer) -> None:
    """This one the starter model finds a title for; where it finds none, the question's first line stays."""
    page = await open_chat(open_page, chat_server)
    question = "What is the difference between TCP and UDP?"
    await say(page, question)
    await wait_until_idle(page)
    chat = page.get_by_role("navigation", name="Chats").get_by_role("link").first
    await expect(chat).to_have_text("TCP vs UDP", timeout=ANSWER_MS)
    await expect(page).to_have_title("TCP vs UDP · Glasshouse")


def test_reading_ahead_can_be_switched_off(chat_server: ChatServer, tmp_path: Path) -> None:
    """The message box is told, and then says nothing of what is typed until it is sent."""
    assert '"reads-ahead":true' in httpx.get(chat_server.base_url).text
    with RunningServer(tmp_path, args=["--no-read-ahead"]) as silent:
        assert '"reads-ahead":false' in httpx.get(silent.base_url).text

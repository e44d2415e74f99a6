"""The thread: what a model writes is drawn safely, and whoever reads is not disturbed."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.conftest import PageOpener
from tests.ui.conftest import ChatServer
from tests.ui.seeded_chats import HOSTILE_QUESTION, RICH_ANSWER
from tests.ui.test_chat_page import STORY, open_chat, say, wait_until_idle


async def test_code_tables_and_links_are_drawn(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Rich']}")
    code = page.locator(".code")
    await expect(code.locator(".code-head")).to_contain_text("python")
    await expect(code.locator(".hljs-keyword").first).to_have_text("def")
    await expect(page.get_by_role("cell", name="the dictionary trick")).to_be_visible()
    link = page.get_by_role("link", name="the manual")
    await expect(link).to_have_attribute("rel", re.compile("noopener"))
    await expect(link).to_have_attribute("target", "_blank")
    await expect(page.locator(".stats")).to_have_text("158 tok/s · first word 41 ms · 312 cached · 512 in context")


async def test_copy_takes_the_answer_and_the_code(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Rich']}")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy", exact=True).click()
    await page.wait_for_function("text => navigator.clipboard.readText().then((t) => t === text)", arg=RICH_ANSWER)
    await page.get_by_role("button", name="Copy code").click()
    await expect(page.get_by_text("Copied")).to_be_visible()
    assert (await page.evaluate("navigator.clipboard.readText()")).startswith("def find(items, wanted):")


async def test_hostile_text_stays_text(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Hostile']}")
    await expect(page.locator(".mine")).to_have_text(HOSTILE_QUESTION)
    answer = page.locator(".prose")
    await expect(answer).to_contain_text("<script>window.harmed=1</script>")
    assert await page.evaluate("window.harmed") is None
    assert await answer.locator("img, script, svg:not(.icon), iframe, style, form").count() == 0
    assert await answer.evaluate(
        "e => [...e.querySelectorAll('*')].every(n => [...n.attributes].every(a => !/^on/i.test(a.name)))"
    )
    hrefs = await answer.locator("a").evaluate_all("links => links.map(a => a.protocol)")
    assert set(hrefs) <= {"https:"}
    await expect(page.get_by_role("link", name="Hostile <b>&amp;")).to_be_visible()  # a title is text as well


async def test_hostile_text_that_a_person_sends(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server)
    await say(page, HOSTILE_QUESTION)
    await expect(page.locator(".mine")).to_have_text(HOSTILE_QUESTION)
    await wait_until_idle(page)
    assert await page.evaluate("window.harmed") is None


async def test_whoever_reads_above_is_not_moved_and_keeps_a_selection(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server, f"/c/{chat_server.chats['Reading']}")
    thread = page.get_by_role("region", name="Conversation")
    await say(page, STORY)
    await expect(page.locator("article.answer")).to_have_count(2)
    await page.wait_for_function("document.querySelectorAll('.prose').length === 2", timeout=60_000)
    assert await thread.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight") < 60  # it follows

    await thread.hover()
    await page.mouse.wheel(0, -2500)
    jump = page.get_by_role("button", name="Jump to latest")
    await expect(jump).to_be_visible()
    await page.evaluate(
        """() => {
            const paragraph = [...document.querySelectorAll('.prose p')].at(-1);
            getSelection().setBaseAndExtent(paragraph.firstChild, 0, paragraph.firstChild, 8);
        }"""
    )
    before = await thread.evaluate("e => [e.scrollTop, e.scrollHeight, getSelection().toString()]")
    await page.wait_for_function(
        "h => document.querySelector('.thread').scrollHeight > h", arg=before[1], timeout=60_000
    )
    after = await thread.evaluate("e => [e.scrollTop, e.scrollHeight, getSelection().toString()]")
    assert after[0] == before[0]
    assert after[2] == before[2] != ""

    await jump.click()
    await expect(jump).to_be_hidden()
    await wait_until_idle(page)
    await page.wait_for_function(  # the way there is a smooth one
        "(e => e.scrollHeight - e.scrollTop - e.clientHeight < 60)(document.querySelector('.thread'))", timeout=10_000
    )


async def test_text_in_pieces_is_drawn_like_the_whole(open_page: PageOpener, chat_server: ChatServer) -> None:
    """Every way to cut a text gives the same page in the end, and on the way only the last block changes."""
    page = await open_chat(open_page, chat_server)
    text = (
        RICH_ANSWER
        + "\n- [ ] to do\n- [x] done\n\nسلام\n"
        + "\n1. one\n2. two\n   - nested 🦔\n\nTitle\n-----\n\n> quote\n\n[late] link\n\n[late]: https://example.com\n"
    )
    result = await page.evaluate(
        """async (text) => {
            const {MarkdownView} = await import("glasshouse/markdown.js");
            await import("glasshouse-vendor/highlight.js");
            const whole = document.createElement("div"), pieces = document.createElement("div");
            new MarkdownView(whole).update(text, true);
            const view = new MarkdownView(pieces);
            let replaced = 0, first = null;
            for (let end = 0; end < text.length; end += 7) {
                view.update(text.slice(0, end), false);
                if (first && pieces.firstChild !== first) replaced += 1;
                first ??= pieces.firstChild;
            }
            view.update(text, true);
            await new Promise((resolve) => setTimeout(resolve, 300));
            return [pieces.innerHTML === whole.innerHTML, replaced, whole.querySelectorAll("a").length];
        }""",
        text,
    )
    assert result == [True, 0, 2]


async def test_deltas_count_code_points_drop_doubles_and_tell_gaps(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server)
    result = await page.evaluate(
        """async () => {
            const {takeDelta} = await import("glasshouse/thread_model.js");
            const message = {id: "a", role: "assistant", state: "streaming", content: "", reasoning: ""};
            const thread = {id: "c", title: "", messages: [message]};
            const fits = [
                takeDelta(thread, "a", "content", 0, "🦔🦔"),
                takeDelta(thread, "a", "content", 1, "🦔x"),
                takeDelta(thread, "a", "content", 0, "🦔"),
                takeDelta(thread, "a", "content", 3, "é"),
                takeDelta(thread, "a", "content", 9, "gap"),
                takeDelta(thread, "b", "content", 0, "unknown"),
            ];
            return [message.content, fits];
        }"""
    )
    assert result == ["🦔🦔xé", [True, True, True, True, False, False]]


async def test_text_runs_the_way_its_language_is_written(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server)
    drawn = await page.evaluate(
        """async (text) => {
            const {MarkdownView} = await import("glasshouse/markdown.js");
            const place = document.createElement("div");
            document.body.append(place);
            new MarkdownView(place).update(text, true);
            return [...place.children].map((block) => getComputedStyle(block).direction);
        }""",
        "Hello سلام\n\nسلام hello\n\n- سلام\n\n> سلام\n\n|سلام|\n|-|\n|a|\n\n```\nسلام\n```\n",
    )
    assert drawn == ["ltr", "rtl", "rtl", "rtl", "rtl", "ltr"]


async def test_a_list_of_tasks_has_boxes(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_chat(open_page, chat_server)
    drawn = await page.evaluate(
        """async (text) => {
            const {MarkdownView} = await import("glasshouse/markdown.js");
            const place = document.createElement("div");
            new MarkdownView(place).update(text, true);
            return [...place.querySelectorAll("li")].map((item) => [
                item.querySelector(".task-box")?.getAttribute("aria-label") ?? "",
                item.textContent.trim(),
            ]);
        }""",
        "- [ ] milk\n- [x] bread\n- plain [x] words\n\nThen\n\n1. [X] apart\n\n2. [link](https://example.com)\n",
    )
    assert drawn == [["To do:", "milk"], ["Done:", "bread"], ["", "plain [x] words"], ["Done:", "apart"], ["", "link"]]


async def test_a_small_phone_opens_the_welcome_at_its_beginning(open_page: PageOpener, chat_server: ChatServer) -> None:
    page = await open_page(base_url=chat_server.base_url, viewport={"width": 360, "height": 560})
    await page.goto("/")
    await expect(page.get_by_role("button", name="Explain something")).to_be_attached()
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 300))")
    thread = page.get_by_role("region", name="Conversation")
    assert await thread.evaluate("e => [e.scrollTop, e.scrollHeight > e.clientHeight]") == [0, True]


async def test_the_keyboard_goes_past_the_chats_and_through_them(
    open_page: PageOpener, chat_server: ChatServer
) -> None:
    page = await open_chat(open_page, chat_server)
    skip = page.get_by_role("button", name="Skip to the message")
    await skip.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("textbox", name="Message")).to_be_focused()
    links = page.get_by_role("navigation", name="Chats").get_by_role("link")
    await links.nth(0).focus()
    await page.keyboard.press("ArrowDown")
    await expect(links.nth(1)).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(links.nth(0)).to_be_focused()

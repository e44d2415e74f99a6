"""The two pages for programs in a real browser: Connect with its test, and Requests with a replay."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.conftest import PageOpener
from tests.support.pages import DESKTOP, PHONE, find_barriers
from tests.ui.models_house import House

STARTER = "SmolLM2-135M-Instruct.Q4_1"


async def visit(opener: PageOpener, house: House, address: str, **options: object) -> Page:
    page = await opener(base_url=house.base_url, **({"viewport": DESKTOP} | options))
    await page.goto(address)
    return page


async def ask(house: House, text: str) -> None:
    body = {
        "model": STARTER, "messages": [{"role": "user", "content": text}], "max_tokens": 8, "temperature": 0,
        "stream": True,
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=house.base_url, timeout=60, headers={"User-Agent": "demo/1.0"}) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200


async def test_a_program_is_found_told_what_to_write_and_tried(house: House, open_page: PageOpener) -> None:
    page = await visit(open_page, house, "/")
    await page.get_by_role("link", name="Programs").click()
    await expect(page).to_have_title("Connect · Glasshouse")
    await page.get_by_role("searchbox", name="Search programs").fill("openai python")
    cards = page.get_by_role("list", name="Programs").get_by_role("article")
    await expect(cards).to_have_count(1)
    await cards.get_by_role("button", name="OpenAI for Python").click()
    await expect(cards).to_contain_text(f'base_url="http://localhost:{house.server.port}/v1"')
    await page.get_by_role("combobox", name="Model").select_option(STARTER)
    await page.get_by_role("textbox", name="Key to put in").fill("sk-demo")
    await expect(cards).to_contain_text('api_key="sk-demo"')
    await page.get_by_role("textbox", name="Key to put in").fill("")
    await expect(cards).to_contain_text('api_key="not-needed"')
    await cards.get_by_role("button", name="Try it").click()
    await expect(cards.get_by_text("works", exact=True)).to_be_visible(timeout=30_000)
    steps = cards.get_by_role("list", name="Test of OpenAI for Python").get_by_role("listitem")
    await expect(steps).to_have_count(4)
    await expect(steps.last).to_contain_text("It called get_weather")


async def test_requests_are_recorded_shown_and_sent_again(house: House, open_page: PageOpener) -> None:
    page = await visit(open_page, house, "/inspect")
    await page.get_by_role("button", name="Record API requests").click()
    await expect(page.get_by_text("is being recorded")).to_be_visible()
    await ask(house, "Name three birds.")
    rows = page.get_by_role("list", name="API requests").get_by_role("listitem")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("OpenAI")
    await rows.get_by_role("button").click()
    detail = page.get_by_role("region", name="POST /v1/chat/completions")
    await expect(detail).to_contain_text("demo/1.0")
    await detail.get_by_role("tab", name="Prompt").click()
    await expect(detail).to_contain_text("<|im_start|>user\nName three birds.<|im_end|>")
    await detail.get_by_role("tab", name="Raw").click()
    await expect(detail.get_by_role("list", name="Raw events")).to_contain_text("data: [DONE]")
    await detail.get_by_role("button", name="Send again").click()
    await expect(detail.get_by_text("the same words")).to_be_visible(timeout=15_000)
    await detail.get_by_role("button", name="Edit and send").click()
    body = detail.get_by_role("textbox", name="Body to send")
    await body.fill((await body.input_value()).replace("three birds", "two fishes"))
    await detail.get_by_role("button", name="Send", exact=True).click()
    await expect(rows).to_have_count(3)
    await expect(detail.locator("ins, del").first).to_be_visible(timeout=15_000)
    await page.get_by_role("searchbox", name="Search requests").fill("nothing like it")
    await expect(rows).to_have_count(0)
    await page.get_by_role("switch", name="Record API requests").click()
    await expect(page.get_by_role("button", name="Record API requests")).to_be_visible()


@pytest.mark.parametrize(("address", "shown"), [("/connect#curl", "A terminal"), ("/inspect", "See what programs ask")])
async def test_nobody_is_kept_out(house: House, open_page: PageOpener, address: str, shown: str) -> None:
    page = await visit(open_page, house, address, viewport=PHONE, has_touch=True, color_scheme="light")
    await expect(page.get_by_text(shown)).to_be_visible()
    assert await find_barriers(page) == ""
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

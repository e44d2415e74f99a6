"""The Models page in a real browser: Yours, Discover and Downloads."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.conftest import PageOpener
from tests.support.pages import DESKTOP, find_barriers
from tests.ui.models_house import House

STARTER = "SmolLM2 135M Instruct"


async def visit(opener: PageOpener, house: House, address: str = "/models") -> Page:
    page = await opener(base_url=house.base_url, viewport=DESKTOP)
    await page.goto(address)
    return page


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("main").get_by_role("article", name=name, exact=True)


async def test_chat_and_models_change_places_without_loading_anything(house: House, open_page: PageOpener) -> None:
    page = await visit(open_page, house, "/")
    await page.evaluate("window.isTheSamePage = true")
    await page.get_by_role("textbox", name="Message").fill("half a thought")
    await page.get_by_role("link", name="Models").click()
    await expect(page).to_have_url(f"{house.base_url}/models")
    await expect(page).to_have_title("Models · Glasshouse")
    await expect(row(page, STARTER)).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("textbox", name="Message")).to_have_value("half a thought")
    await page.get_by_role("button", name="All models").click()
    await page.get_by_role("button", name="Back to the chat").click()
    await expect(page.get_by_role("textbox", name="Message")).to_have_value("half a thought")
    await expect(page).to_have_url(f"{house.base_url}/")
    assert await page.evaluate("window.isTheSamePage")


async def test_search_filter_and_favourites_find_a_model(house: House, open_page: PageOpener) -> None:
    page = await visit(open_page, house)
    rows = page.get_by_role("list", name="Models on this machine").get_by_role("article")
    await expect(row(page, STARTER)).to_be_visible()
    num_all = await rows.count()
    await expect(page.get_by_role("list", name="Files that cannot be used")).to_contain_text("Broken 7B")
    await page.get_by_role("button", name="Adapters", exact=True).click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Pirate LoRA")
    await page.get_by_role("button", name="All", exact=True).click()
    await page.get_by_role("searchbox", name="Search your models").fill("smol q4")
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name=f"Favourite: {STARTER}").click()
    await page.get_by_role("searchbox", name="Search your models").fill("")
    await page.get_by_role("button", name="Favourites").click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text(STARTER)
    await page.get_by_role("searchbox", name="Search your models").fill("nothing like it")
    await page.get_by_role("button", name="Show all").click()
    await expect(rows).to_have_count(num_all)


async def test_a_model_that_a_program_asked_for_says_when_it_goes(house: House, open_page: PageOpener) -> None:
    async with httpx.AsyncClient(base_url=house.base_url, timeout=60) as client:
        answer = await client.post("/v1/embeddings", json={"model": "Tiny-Embed", "input": "glass"})
    assert answer.status_code == 200
    page = await visit(open_page, house)
    await expect(page.get_by_text("unused, goes in")).to_be_visible()


async def test_models_of_another_program_are_used_where_they_lie(house: House, open_page: PageOpener) -> None:
    page = await visit(open_page, house)
    await page.get_by_role("region", name="Ollama").get_by_role("button", name="Use them here").click()
    await expect(row(page, "llama3.2:3b")).to_contain_text("Ollama")
    await expect(page.get_by_role("region", name="Ollama")).to_have_count(0)
    await page.get_by_text("Where models are found").click()
    await page.get_by_role("button", name="Stop using: Ollama").click()
    await expect(row(page, "llama3.2:3b")).to_have_count(0)


async def test_a_model_is_found_on_the_hub_and_fetched(house: House, open_page: PageOpener) -> None:
    page = await visit(open_page, house, "/models#discover")
    suggestions = page.get_by_role("list", name="Good models for").get_by_role("article")
    await expect(suggestions.first).to_contain_text("gone")  # this hub has none of them
    await page.get_by_role("searchbox").fill("tiny")
    await page.get_by_role("button", name="Tiny-GGUF").click()
    variants = page.get_by_role("list", name="Variants of maker/Tiny-GGUF").get_by_role("listitem")
    await expect(variants).to_have_text(["Q4_K_M110 kBfitsDownload", "Q8_0110 kBfitsDownload"])
    held = house.hub.hold_after("Tiny-Q8_0.gguf", 50_000)
    await page.get_by_role("button", name="Download maker/Tiny-GGUF Q8_0").click()
    await page.get_by_role("tab", name="Downloads 1").click()
    card = page.get_by_role("article", name="Tiny-GGUF Q8_0")
    await expect(card.get_by_role("progressbar")).to_be_visible()
    held.release()
    await expect(card).to_contain_text("checked against the hub")
    await page.get_by_role("tab", name="Yours").click()
    await expect(row(page, "Tiny")).to_be_visible()


async def test_a_gated_model_asks_for_a_token(house: House, open_page: PageOpener) -> None:
    page = await visit(open_page, house, "/models#discover")
    await page.get_by_role("searchbox").fill("maker/Secret-GGUF")
    await page.get_by_role("button", name="Download maker/Secret-GGUF Q8_0").click()
    await page.get_by_role("tab", name="Downloads 1").click()
    await page.get_by_role("textbox", name="Hugging Face token").fill("hf_right")
    await page.get_by_role("button", name="Use token").click()
    await expect(page.get_by_role("article", name="Secret-GGUF Q8_0")).to_contain_text("checked against the hub")


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_nobody_is_kept_out(house: House, open_page: PageOpener, scheme: str) -> None:
    page = await open_page(
        base_url=house.base_url, viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True
    )
    await page.goto("/models")
    await expect(row(page, STARTER)).to_be_visible()
    assert await find_barriers(page) == ""
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    small = "[...document.querySelectorAll('.of-models button')].filter((one) => one.getClientRects().length)"
    heights = await page.evaluate(f"{small}.map((one) => [one.textContent, one.closest('h3') ? 44 : one.offsetHeight])")
    assert [each for each in heights if each[1] < 44] == []

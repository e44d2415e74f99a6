"""A model's sheet in a real browser: what it is, whether it fits, how it is used, and files made from it."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect

from tests.conftest import PageOpener
from tests.support.pages import DESKTOP, PHONE, find_barriers
from tests.ui.models_house import House

MODEL = "Assistant"


async def open_sheet(
    opener: PageOpener, house: House, name: str = MODEL, tab: str = "Overview"
) -> tuple[Page, Locator]:
    page = await opener(base_url=house.base_url, viewport=DESKTOP)
    await page.goto("/models")
    await page.get_by_role("main").get_by_role("button", name=name, exact=True).click()
    sheet = page.get_by_role("dialog")
    await expect(sheet.get_by_role("heading", name=name)).to_be_visible()
    if tab != "Overview":
        await sheet.get_by_role("tab", name=tab).click()
    return page, sheet


async def test_the_overview_tells_what_the_file_is(house: House, open_page: PageOpener) -> None:
    page, sheet = await open_sheet(open_page, house)
    await expect(sheet.get_by_role("img", name="Q4_1 69 %, Q8_0 31 %, F32 under 1 %")).to_be_visible()
    await expect(sheet).to_contain_text("9 heads, 3 for keys and values")
    await expect(sheet).to_contain_text("apache-2.0")
    await sheet.get_by_text("Chat template", exact=True).click()
    await expect(sheet.locator(".hljs-template-tag").first).to_be_visible()
    assert await find_barriers(page) == ""
    await page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()


async def test_a_name_and_tags_of_ones_own_are_seen_in_the_list(house: House, open_page: PageOpener) -> None:
    page, sheet = await open_sheet(open_page, house, "Tiny Embed")
    await sheet.get_by_role("button", name="Rename").click()
    await sheet.get_by_role("textbox", name="Name of the model").fill("My finder")
    await page.keyboard.press("Enter")
    await expect(sheet.get_by_role("heading", name="My finder")).to_be_visible()
    await sheet.get_by_role("textbox", name="New tag").fill("search")
    await page.keyboard.press("Enter")
    await expect(sheet.get_by_role("button", name="Remove the tag search")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("group", name="Show only").get_by_role("button", name="search").click()
    rows = page.get_by_role("list", name="Models on this machine").get_by_role("article")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("My finder")


async def test_the_bar_follows_the_context_slider(house: House, open_page: PageOpener) -> None:
    _, sheet = await open_sheet(open_page, house, tab="Fit")
    bar = sheet.get_by_role("img", name=re.compile("^RAM"))
    before = await bar.get_attribute("aria-label")
    slider = sheet.get_by_role("slider", name="Context")
    await slider.press("Home")
    await expect(sheet.get_by_role("status").filter(has_text="It fits with 1k")).to_be_visible()
    assert await bar.get_attribute("aria-label") != before
    await sheet.get_by_role("button", name="Context: auto").click()
    await expect(bar).to_have_attribute("aria-label", re.compile("conversation"))


async def test_defaults_and_presets_are_kept(house: House, open_page: PageOpener) -> None:
    _, sheet = await open_sheet(open_page, house, tab="Defaults")
    await sheet.get_by_role("textbox", name="System prompt").fill("Talk like a pirate.")
    await sheet.get_by_role("textbox", name="System prompt").blur()
    await expect(sheet.get_by_text("Saved")).to_be_visible()
    await sheet.get_by_role("button", name="Save as preset").click()
    await sheet.get_by_role("textbox", name="Name of the preset").fill("pirate")
    await sheet.get_by_role("button", name="Save", exact=True).click()
    await sheet.get_by_role("button", name="pirate", exact=True).click()
    await sheet.get_by_label("Add an adapter").select_option("Pirate LoRA")
    await expect(sheet.get_by_role("slider", name="Strength of Pirate LoRA")).to_be_visible()

    _, again = await open_sheet(open_page, house, tab="Defaults")
    await expect(again.get_by_role("textbox", name="System prompt")).to_have_value("Talk like a pirate.")
    await expect(again.get_by_role("slider", name="Strength of Pirate LoRA")).to_have_count(0)
    await again.get_by_role("button", name="pirate", exact=True).click()
    await expect(again.get_by_role("slider", name="Strength of Pirate LoRA")).to_be_visible()


async def test_a_smaller_file_is_made_and_its_size_is_told_before(house: House, open_page: PageOpener) -> None:
    _, sheet = await open_sheet(open_page, house, tab="Change")
    await sheet.get_by_role("radio", name=re.compile("^Q2_K ")).check(force=True)
    await expect(sheet.get_by_role("button", name="Quantize to Q2_K")).to_be_disabled()
    await sheet.get_by_role("checkbox").check()
    await sheet.get_by_role("button", name="Split or join").click()
    await sheet.get_by_label("Largest part").select_option("50 MB")
    told = sheet.get_by_role("status").filter(has_text="The result: 2 files, ")
    await expect(told).to_be_visible()
    await sheet.get_by_role("button", name="Split", exact=True).click()
    job = sheet.get_by_role("list", name="Jobs of this model").get_by_role("article")
    await expect(job).to_contain_text("done", timeout=20_000)
    assert len(list(house.models_dir.rglob("*-of-00002.gguf"))) == 2
    await job.get_by_role("button", name=re.compile("Remove from the list")).click()
    await expect(job).to_have_count(0)


async def test_the_sheet_fits_a_phone(house: House, open_page: PageOpener) -> None:
    page = await open_page(base_url=house.base_url, viewport=PHONE, has_touch=True, is_mobile=True)
    await page.goto("/models")
    await page.get_by_role("main").get_by_role("button", name="Broken 7B", exact=True).click()
    sheet = page.get_by_role("dialog")
    await expect(sheet.get_by_role("button", name="Delete the file")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert await find_barriers(page) == ""

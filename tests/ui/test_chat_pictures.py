"""Pictures in the chat: pasted, dropped and chosen, seen by the model, shown in the thread, there after a reload."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
from playwright.async_api import Page, expect

from tests.conftest import PageOpener, ServerStarter
from tests.engine.tiny_models import write_tiny_model
from tests.engine.tiny_projectors import write_tiny_projector

_OFFER = """([kind, name]) => {
    const bytes = Uint8Array.from(atob(PICTURE), (letter) => letter.charCodeAt(0));
    const files = new DataTransfer();
    files.items.add(new File([bytes], name, {type: "image/png"}));
    const box = document.querySelector("textarea[name=message]");
    const options = {bubbles: true, cancelable: true};
    if (kind === "paste") box.dispatchEvent(new ClipboardEvent("paste", {clipboardData: files, ...options}));
    else window.dispatchEvent(new DragEvent("drop", {dataTransfer: files, ...options}));
}"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


async def offer(page: Page, kind: str, name: str) -> None:
    """Paste or drop a picture of one pixel."""
    await page.evaluate(_OFFER.replace("PICTURE", f"'{PIXEL}'"), [kind, name])


def write_picture(path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return path


async def test_a_model_looks_at_pictures(start_server: ServerStarter, open_page: PageOpener, tmp_path: Path) -> None:
    models = tmp_path / "house" / "models"
    models.mkdir(parents=True)
    write_tiny_model(models, "llama")
    write_tiny_projector(models, "mlp").rename(models / "mmproj-tiny-llama.gguf")
    server = start_server(folder=tmp_path / "house", args=["--ctx", "384"])
    page = await open_page(base_url=server.base_url)
    await page.goto("/")
    pictures, send = page.locator(".composer-pictures img"), page.get_by_role("button", name="Send", exact=True)

    await offer(page, "paste", "cat.png")
    await offer(page, "drop", "dog.png")
    await expect(pictures).to_have_count(2)
    await page.get_by_role("button", name="Remove cat.png").click()
    await expect(pictures).to_have_count(1)
    await expect(send).to_be_enabled()
    await page.get_by_role("textbox", name="Message").fill("What is it?")
    await send.click()

    shown = page.locator(".bubble-pictures img")
    await expect(shown).to_have_count(1)
    await expect(pictures).to_have_count(0)
    await expect(page.locator(".bubble-text")).to_have_text("What is it?")
    await expect(page.locator(".answer")).to_contain_text("in context", timeout=30_000)
    assert await shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1

    chooser = page.get_by_label("Choose pictures")
    await expect(page.get_by_role("button", name="Add pictures")).to_be_visible()
    await chooser.set_input_files(write_picture(tmp_path / "noise.png"))
    await expect(pictures).to_have_count(1)
    await send.click()
    await expect(shown).to_have_count(2)
    await page.reload()
    await expect(shown).to_have_count(2)
    assert await shown.nth(1).evaluate("image => image.decode().then(() => image.naturalWidth)") == 80


async def test_a_model_that_sees_nothing_says_so_before_anything_is_sent(page: Page) -> None:
    await page.goto("/")
    await page.get_by_role("textbox", name="Message").fill("Say hi.")
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.locator(".answer")).to_contain_text("in context", timeout=30_000)
    await offer(page, "paste", "cat.png")
    await expect(page.locator(".composer-note")).to_contain_text("does not see pictures")
    await expect(page.locator(".composer-pictures")).to_have_count(0)
    await expect(page.get_by_role("button", name="Add pictures")).to_have_count(0)

"""The model panel in a real browser: load, unload, options, what does not fit, what is broken, what died."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import gguf
import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.conftest import PageOpener
from tests.library.adapter_files import write_adapter_file
from tests.support.pages import DESKTOP, PHONE, find_barriers, model_card, open_models, starter_file, wait_until
from tests.support.server import RunningServer

STARTER = "SmolLM2 135M Instruct"
HUGE_BYTES = 400 * 10**9


@pytest.fixture(scope="module")
def models_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of this module's own, with a broken file and one that is far too big beside the starter model."""
    folder = tmp_path_factory.mktemp("panel")
    models = folder / "models"
    models.mkdir()
    (models / "Broken-7B.Q4_K_M.gguf").write_bytes(b"GGUF\x03\x00\x00\x00 and then nothing good")
    write_huge_model(models / "Huge-400B.F16.gguf")
    with RunningServer(folder) as running:
        yield running


def write_huge_model(path: Path) -> None:
    """A header that is right about a model of 400 GB; the weights are a hole in the file and take no disk."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Huge 400B")
    writer.add_context_length(8192)
    writer.add_embedding_length(4096)
    writer.add_block_count(2)
    writer.add_feed_forward_length(8192)
    writer.add_head_count(32)
    writer.add_head_count_kv(8)
    writer.add_vocab_size(100)
    shape = [HUGE_BYTES // 2 // 4096, 4096]
    writer.add_tensor_info("token_embd.weight", shape, gguf.np.float16, HUGE_BYTES)  # type: ignore[attr-defined]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, path.stat().st_size + HUGE_BYTES + 4096)


@pytest_asyncio.fixture(loop_scope="session")
async def page(models_server: RunningServer, open_page: PageOpener) -> Page:
    return await open_page(base_url=models_server.base_url, viewport=DESKTOP)


async def test_load_and_unload_are_seen_everywhere(
    page: Page, models_server: RunningServer, open_page: PageOpener
) -> None:
    panel = await open_models(page)
    other = await open_models(await open_page(base_url=models_server.base_url, viewport=DESKTOP))
    card = model_card(panel, STARTER)
    await expect(card).to_contain_text("llama · 135M · Q4_1 · 98 MB · 8k context")
    await expect(card).to_contain_text("starter")
    await expect(card).to_contain_text("fits")
    await expect(panel.get_by_role("status").first).to_have_text("no model loaded")

    await card.get_by_role("button", name="Load", exact=True).click()
    await expect(card.get_by_role("progressbar", name=f"Loading {STARTER}")).to_be_visible()
    await expect(card.get_by_role("button", name="Unload")).to_be_visible(timeout=30_000)
    await expect(panel.get_by_role("status").first).to_contain_text(f"{STARTER} running · ")
    await expect(card).to_contain_text("8k context")
    await expect(panel.get_by_role("img", name="Memory: model")).to_be_visible()
    await expect(model_card(other, STARTER).get_by_role("button", name="Unload")).to_be_visible()
    status = await (await page.request.get("/status")).json()
    assert status["state"] == "ready"

    await model_card(other, STARTER).get_by_role("button", name="Unload").click()
    await expect(panel.get_by_role("status").first).to_have_text("no model loaded")
    await expect(card.get_by_role("button", name="Load", exact=True)).to_be_enabled()
    await expect(card).to_contain_text("chosen")


async def test_an_empty_chat_offers_what_the_next_message_starts(tmp_path: Path, open_page: PageOpener) -> None:
    shelf = tmp_path / "models"
    shelf.mkdir()
    shutil.copy(starter_file(), shelf / "Lantern-135M.gguf")
    shutil.copy(starter_file(), shelf / "Candle-135M.gguf")
    with RunningServer(tmp_path, args=["--model", "Lantern-135M"]) as server:
        page = await open_page(base_url=server.base_url, viewport=DESKTOP)
        await page.goto("/")
        await expect(page.get_by_role("button", name="Start Lantern 135M")).to_be_visible()

        panel = page.get_by_role("complementary", name="Models")
        card = model_card(panel, "Candle 135M")
        await card.get_by_role("button", name="Load", exact=True).click()
        await card.get_by_role("button", name="Unload").click(timeout=30_000)
        await expect(page.get_by_role("button", name="Start Candle 135M")).to_be_visible()
        await page.context.close()  # before its server goes


async def test_a_chosen_context_says_what_it_takes_and_is_used(page: Page) -> None:
    panel = await open_models(page)
    card = model_card(panel, STARTER)
    await card.get_by_role("button", name=f"Options of {STARTER}").click()
    await card.get_by_label("Context").select_option("2k")
    await expect(card.get_by_role("status")).to_contain_text("2k context · needs ")
    await expect(card.get_by_label("GPU layers")).to_have_count(0)  # shown only where a GPU can help

    await card.get_by_role("button", name="Load", exact=True).click()
    await expect(card).to_contain_text("2k context", timeout=30_000)

    await card.get_by_role("button", name=f"Options of {STARTER}").click()
    await expect(card.get_by_label("Context")).to_have_value("2048")
    await card.get_by_label("Context").select_option("Auto")
    await card.get_by_role("button", name="Reload").click()
    await expect(card.locator(".model-running")).to_contain_text("8k context", timeout=30_000)
    await card.get_by_role("button", name="Unload").click()
    await expect(card.get_by_role("button", name="Load", exact=True)).to_be_enabled()


async def test_a_model_that_is_too_big_is_refused_with_both_numbers(page: Page) -> None:
    panel = await open_models(page)
    card = model_card(panel, "Huge 400B")
    await expect(card).to_contain_text("too big")
    await expect(card).to_contain_text("needs 400.")

    await card.get_by_role("button", name="Load", exact=True).click()
    await expect(card.get_by_role("alert")).to_contain_text("is too big for this machine right now: it needs 400.")
    await expect(panel.get_by_role("status").first).to_have_text("no model loaded")
    await card.get_by_role("button", name="Dismiss").click()
    await expect(card.get_by_role("alert")).to_have_count(0)


async def test_a_broken_file_says_so_and_can_be_deleted(page: Page, models_server: RunningServer) -> None:
    broken = models_server.models_dir / "Broken-7B.Q4_K_M.gguf"
    panel = await open_models(page)
    card = model_card(panel, "Broken 7B")
    await expect(card.get_by_role("alert")).to_contain_text("“Broken-7B.Q4_K_M.gguf” is damaged")
    await expect(card.get_by_role("button", name="Load", exact=True)).to_have_count(0)

    question = page.get_by_role("alertdialog", name="Delete Broken 7B?")
    await card.get_by_role("button", name="Delete Broken 7B").click()
    await expect(question).to_contain_text("Broken-7B.Q4_K_M.gguf")
    await page.keyboard.press("Escape")
    await expect(question).to_be_hidden()
    assert broken.exists()

    await card.get_by_role("button", name="Delete Broken 7B").click()
    await question.get_by_role("button", name="Delete").click()
    await expect(card).to_have_count(0)
    assert not broken.exists()


async def test_a_file_that_appears_in_the_folder_is_found_when_somebody_looks(
    page: Page, models_server: RunningServer
) -> None:
    panel = await open_models(page)
    (models_server.models_dir / "Later-1B.gguf").write_bytes(b"GGUF")
    await page.evaluate("window.dispatchEvent(new Event('focus'))")
    await expect(model_card(panel, "Later 1B")).to_be_visible()


async def test_a_lora_is_an_adapter_and_no_model_to_load(page: Page, models_server: RunningServer) -> None:
    file = write_adapter_file(models_server.models_dir / "Pirate-LoRA.gguf")
    panel = await open_models(page)
    card = model_card(panel, "Pirate LoRA")
    await expect(card).to_contain_text("adapter")
    await expect(card.get_by_role("alert")).to_have_count(0)
    await expect(card.get_by_role("button", name="Load", exact=True)).to_have_count(0)

    await card.get_by_role("button", name="Delete Pirate LoRA").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    await expect(card).to_have_count(0)
    assert not file.exists()


async def test_an_engine_that_dies_is_said_and_starts_again(page: Page, models_server: RunningServer) -> None:
    panel = await open_models(page)
    card = model_card(panel, STARTER)
    await card.get_by_role("button", name="Load", exact=True).click()
    await expect(card.get_by_role("button", name="Unload")).to_be_visible(timeout=30_000)

    for process in psutil.Process(models_server.pid).children(recursive=True):
        process.send_signal(signal.SIGKILL)
    await expect(card.get_by_role("alert")).to_contain_text("The model stopped unexpectedly")
    await expect(panel.get_by_role("status").first).to_have_text(f"{STARTER} stopped")

    await card.get_by_role("button", name="Load", exact=True).click()
    await expect(card.get_by_role("button", name="Unload")).to_be_visible(timeout=30_000)
    await expect(card.get_by_role("alert")).to_have_count(0)
    await card.get_by_role("button", name="Unload").click()
    await expect(card.get_by_role("button", name="Load", exact=True)).to_be_enabled()


async def test_numbers_are_asked_for_only_while_the_panel_is_seen(page: Page) -> None:
    looks: list[str] = []

    def note(payload: str | bytes) -> None:
        if '"listener_id"' in str(payload):
            looks.append(str(payload))

    page.on("websocket", lambda socket: socket.on("framesent", note))
    await page.clock.install()
    await open_models(page)
    before = len(looks)
    await page.clock.run_for(10_000)
    await wait_until(lambda: len(looks) >= before + 4, "the panel asks every two seconds")
    await page.evaluate("import('glasshouse/shell.js').then((shell) => shell.closePanel())")
    await expect(page.get_by_role("complementary", name="Models")).to_be_hidden()
    before = len(looks)
    await page.clock.run_for(60_000)
    assert len(looks) == before


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_nobody_is_kept_out(theme: str, models_server: RunningServer, open_page: PageOpener) -> None:
    page = await open_page(base_url=models_server.base_url, viewport=DESKTOP, color_scheme=theme)
    panel = await open_models(page)
    await model_card(panel, STARTER).get_by_role("button", name=f"Options of {STARTER}").click()
    await expect(panel.get_by_role("status").last).to_contain_text("needs")
    assert await find_barriers(page) == ""


async def test_on_a_phone_the_panel_is_a_sheet_with_room_for_fingers(
    models_server: RunningServer, open_page: PageOpener
) -> None:
    page = await open_page(base_url=models_server.base_url, viewport=PHONE, has_touch=True, is_mobile=True)
    await page.goto("/")
    panel = page.get_by_role("complementary", name="Models")
    await expect(panel).to_be_hidden()
    await page.get_by_role("button", name="Models").click()
    load = model_card(panel, STARTER).get_by_role("button", name="Load", exact=True)
    await expect(load).to_be_visible()
    box = await load.bounding_box()
    assert box and box["height"] >= 44
    assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    await panel.get_by_role("button", name="Close models").click()
    await expect(panel).to_be_hidden()

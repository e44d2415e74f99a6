"""Import of model files in a real browser: drop, pick, cancel, a cut connection, a reload in the middle, bad files."""

from __future__ import annotations

import filecmp
import functools
import re
import shutil
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Dialog, Locator, Page, Request, expect

from tests.conftest import PageOpener
from tests.support.browser import PageWatch
from tests.support.pages import DESKTOP, model_card, open_models, starter_file, wait_until
from tests.support.server import RunningServer

NAME = "Holiday-135M.Q4_1.gguf"
SHOWN = "Holiday 135M"
SLOW = 8_000_000  # bytes a second: slow enough to press a button in the middle


@pytest.fixture(scope="module")
def import_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("import")) as running:
        yield running


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real GGUF of 98 MB outside of the server's folders."""
    path = tmp_path_factory.mktemp("disk") / NAME
    shutil.copy(starter_file(), path)
    return path


@pytest_asyncio.fixture(loop_scope="session")
async def page(import_server: RunningServer, open_page: PageOpener) -> Page:
    for file in import_server.models_dir.iterdir():
        file.unlink()
    return await open_page(base_url=import_server.base_url, viewport=DESKTOP)


async def pick(page: Page, *files: Path) -> None:
    """What "Import GGUF" does: it opens the browser's file picker."""
    async with page.expect_file_chooser() as choosing:
        await page.get_by_role("button", name="Import GGUF").click()
    await (await choosing.value).set_files([str(file) for file in files])


def import_card(page: Page, name: str = NAME) -> Locator:
    return page.get_by_role("article", name=f"Import of {name}", exact=True)


async def slow_down(page: Page) -> Callable[[], Coroutine[Any, Any, None]]:
    """Send slowly from now on, until the returned function is called."""
    session = await page.context.new_cdp_session(page)

    async def limit(bytes_per_second: float) -> None:
        limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
        await session.send("Network.emulateNetworkConditions", limits)

    await limit(SLOW)
    return functools.partial(limit, -1)


async def reach(card: Locator, percent: int) -> None:
    """Wait until this much has gone."""
    bar = card.get_by_role("progressbar")
    enough = "|".join(str(number) for number in range(percent, 101))
    await expect(bar).to_have_attribute("aria-valuenow", re.compile(f"^({enough})$"), timeout=30_000)


async def test_a_file_dropped_anywhere_becomes_a_model_in_every_browser(
    page: Page, import_server: RunningServer, model_file: Path, open_page: PageOpener
) -> None:
    panel = await open_models(page)
    elsewhere = await open_models(await open_page(base_url=import_server.base_url, viewport=DESKTOP))
    await page.evaluate(
        "document.body.append(Object.assign(document.createElement('input'), {type: 'file', id: 'held'}))"
    )
    await page.set_input_files("#held", str(model_file))
    drag = """(type) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(document.getElementById("held").files[0]);
      const place = document.querySelector("main");
      place.dispatchEvent(new DragEvent(type, {dataTransfer, bubbles: true, cancelable: true}));
    }"""
    await page.evaluate(drag, "dragenter")
    await expect(page.get_by_text("Drop to import")).to_be_visible()
    await page.evaluate(drag, "drop")
    await expect(page.get_by_text("Drop to import")).to_be_hidden()

    await expect(import_card(page).get_by_role("progressbar")).to_be_visible()
    await expect(model_card(panel, SHOWN)).to_contain_text("llama · 135M · Q4_1 · 98 MB", timeout=30_000)
    await expect(model_card(elsewhere, SHOWN).get_by_role("button", name="Load", exact=True)).to_be_visible()
    await expect(import_card(page)).to_have_count(0)  # it says "imported" for a moment and goes
    assert filecmp.cmp(model_file, import_server.models_dir / NAME, shallow=False)
    assert leftovers(import_server) == []


def leftovers(server: RunningServer) -> list[str]:
    """What an import that is over must not leave behind."""
    return [file.name for file in server.models_dir.rglob("*") if file.is_file() and file.suffix != ".gguf"]


def write_bad_files(folder: Path, model_file: Path) -> tuple[Path, Path, Path]:
    """Not a GGUF behind its name, one that was cut off, and nothing."""
    notes, cut, empty = folder / "notes.gguf", folder / "cut-7B.gguf", folder / "empty.gguf"
    notes.write_text("dear diary, " * 1000)
    with model_file.open("rb") as model:
        cut.write_bytes(model.read(5_000_000))
    empty.touch()
    return notes, cut, empty


async def test_what_is_no_model_is_refused_at_once_and_not_behind_a_long_import(
    page: Page, model_file: Path, tmp_path: Path
) -> None:
    photo, notes = tmp_path / "photo.jpg", tmp_path / "notes.gguf"
    photo.write_bytes(b"\xff\xd8\xff\xe0")
    notes.write_text("dear diary")
    await open_models(page)
    await slow_down(page)
    await pick(page, model_file, photo, notes)
    await expect(import_card(page, "photo.jpg").get_by_role("alert")).to_have_text(
        "“photo.jpg” is not a model file: their names end in .gguf."
    )
    await expect(import_card(page, "notes.gguf").get_by_role("alert")).to_have_text(
        "“notes.gguf” is not a GGUF model file."
    )
    long = import_card(page)
    await expect(long.get_by_role("progressbar")).to_be_visible()  # still on its way
    await long.get_by_role("button", name="Cancel import").click()
    await expect(long).to_have_count(0)


async def test_several_files_go_one_after_the_other_and_bad_ones_say_why(
    page: Page, import_server: RunningServer, model_file: Path, tmp_path: Path, page_watch: PageWatch
) -> None:
    page_watch.allow("Failed to load resource")  # the refusals below
    notes, cut, empty = write_bad_files(tmp_path, model_file)
    panel = await open_models(page)
    await pick(page, model_file, notes, cut, empty)

    await expect(import_card(page, "empty.gguf").get_by_role("alert")).to_have_text(
        "“empty.gguf” is empty. Get the file again."
    )
    await expect(import_card(page, "notes.gguf").get_by_role("alert")).to_have_text(
        "“notes.gguf” is not a GGUF model file.", timeout=30_000
    )
    await expect(import_card(page, "cut-7B.gguf").get_by_role("alert")).to_contain_text("is damaged", timeout=30_000)
    await expect(model_card(panel, SHOWN)).to_be_visible()
    assert sorted(file.name for file in import_server.models_dir.iterdir()) == [NAME]

    await pick(page, model_file)
    again = import_card(page)
    await expect(again.get_by_role("alert")).to_contain_text("There is already a model file named")
    await again.get_by_role("button", name="Dismiss").click()
    await expect(again).to_have_count(0)


async def test_cancel_in_the_middle_leaves_nothing(page: Page, import_server: RunningServer, model_file: Path) -> None:
    await open_models(page)
    await slow_down(page)
    await pick(page, model_file)
    card = import_card(page)
    await reach(card, 5)
    await expect(card).to_contain_text("MB/s")
    await expect(card).to_contain_text("left")
    assert leftovers(import_server) != []

    await card.get_by_role("button", name="Cancel import").click()
    await expect(card).to_have_count(0)
    await wait_until(lambda: list(import_server.models_dir.rglob("*.part")) == [], "the part is removed")
    assert not (import_server.models_dir / NAME).exists()


async def test_a_cut_connection_costs_nothing(
    page: Page, import_server: RunningServer, model_file: Path, page_watch: PageWatch
) -> None:
    page_watch.allow("ERR_INTERNET_DISCONNECTED")  # what Chromium says to requests of an unplugged machine
    panel = await open_models(page)
    speed_up = await slow_down(page)
    await pick(page, model_file)
    card = import_card(page)
    await reach(card, 10)
    await page.route("**/api/uploads/**", lambda route: route.abort("internetdisconnected"))
    await expect(card).to_contain_text("connection lost, trying again")
    await page.unroute("**/api/uploads/**")
    await speed_up()
    await expect(model_card(panel, SHOWN)).to_be_visible(timeout=30_000)
    assert filecmp.cmp(model_file, import_server.models_dir / NAME, shallow=False)


async def choose_again(page: Page, file: Path) -> None:
    async with page.expect_file_chooser() as choosing:
        await import_card(page).get_by_role("button", name="Choose file").click()
    await (await choosing.value).set_files(str(file))


def write_twin(model_file: Path, folder: Path) -> Path:
    """Another file of the same name and size: its beginning is the same, one byte behind that is not."""
    twin = folder / model_file.name
    shutil.copy(model_file, twin)
    with twin.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"another byte")
    return twin


async def test_after_a_reload_the_same_file_goes_on_where_it_stopped_and_no_other(
    page: Page, import_server: RunningServer, model_file: Path, tmp_path: Path
) -> None:
    panel = await open_models(page)
    speed_up = await slow_down(page)
    await pick(page, model_file)
    await reach(import_card(page), 15)
    warnings: list[str] = []

    async def leave_anyway(dialog: Dialog) -> None:
        warnings.append(dialog.type)
        await dialog.accept()

    page.on("dialog", leave_anyway)
    await page.reload()
    assert warnings == ["beforeunload"]
    await speed_up()

    card = import_card(page)
    await expect(card).to_contain_text(re.compile(r"Broken off at \d+ %: drop the file again to go on"))
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    await choose_again(page, write_twin(model_file, tmp_path))
    await expect(card).to_contain_text(f"This is not the “{NAME}” whose beginning is here already.")
    assert offsets == [], "nothing of the other file was sent"

    await choose_again(page, model_file)
    await expect(model_card(panel, SHOWN)).to_be_visible(timeout=30_000)
    assert offsets[0] > 0
    assert filecmp.cmp(model_file, import_server.models_dir / NAME, shallow=False)


async def test_with_the_panel_closed_a_tray_shows_the_import(page: Page, model_file: Path) -> None:
    await open_models(page)
    await slow_down(page)
    await pick(page, model_file)
    await reach(import_card(page), 1)
    await page.evaluate("import('glasshouse/shell.js').then((shell) => shell.closePanel())")
    tray = page.get_by_role("region", name="Imports")
    await expect(tray.get_by_role("progressbar")).to_be_visible()
    await tray.get_by_role("button", name="Cancel import").click()
    await expect(tray).to_have_count(0)

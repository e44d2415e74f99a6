"""Models that are no chat models: the page shows them as what they are, and programs use them through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import gguf
import httpx
import openai
import psutil
import pytest
from playwright.async_api import expect

from tests.conftest import PageOpener
from tests.engine.tiny_embedding_models import write_bert
from tests.support.pages import DESKTOP, model_card, open_models, wait_until
from tests.support.server import RunningServer

LONG = ["the lazy dog is over the blue sea " * 15] * 2048


@pytest.fixture(scope="module")
def search_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("search")
    models = folder / "models"
    models.mkdir()
    write_bert(models / "Tiny-Embed.gguf")
    write_bert(models / "Tiny-Rank.gguf", pooling=gguf.PoolingType.RANK)
    with RunningServer(folder) as running:
        yield running


async def test_cards_say_what_a_model_is_for_and_do_not_load_it_for_chat(
    search_server: RunningServer, open_page: PageOpener
) -> None:
    panel = await open_models(await open_page(base_url=search_server.base_url, viewport=DESKTOP))
    for name, kind in (("Tiny Embed", "embedding"), ("Tiny Rank", "rerank")):
        card = model_card(panel, name)
        await expect(card.locator(".badge").get_by_text(kind, exact=True)).to_be_visible()
        await expect(card.get_by_role("button", name="Load", exact=True)).to_have_count(0)
        await expect(card.get_by_role("button", name=f"Delete {name}")).to_be_visible()


def engine_seconds(server: RunningServer) -> float:
    """What the server's engines have computed so far."""
    engines = [child for child in psutil.Process(server.pid).children() if "webui.engine" in child.cmdline()]
    return sum(engine.cpu_times().user for engine in engines)


async def test_the_engine_stops_for_one_who_hangs_up(search_server: RunningServer) -> None:
    async with openai.AsyncOpenAI(base_url=f"{search_server.base_url}/v1", api_key="none", max_retries=0) as client:
        await client.embeddings.create(model="Tiny-Embed", input="red")
        before = engine_seconds(search_server)
        leaving = asyncio.create_task(client.embeddings.create(model="Tiny-Embed", input=LONG))
        await wait_until(lambda: engine_seconds(search_server) > before + 0.1, "the engine works")
        assert not leaving.done()
        leaving.cancel()
        seen = [-1.0, engine_seconds(search_server)]

        def is_quiet() -> bool:
            seen.append(engine_seconds(search_server))
            return seen[-1] == seen[-4:][0]

        await wait_until(is_quiet, "the engine rests")
        assert seen[-1] < before + 1.0, "long before the last text"


async def test_a_search_is_served_by_two_models_side_by_side(search_server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=search_server.base_url, trust_env=False, timeout=30) as client:
        body = {"query": "red fox", "documents": ["the fox jumps", "blue sea"]}
        embedded, ranked = await asyncio.gather(
            client.post("/v1/embeddings", json={"input": "red fox"}), client.post("/v1/rerank", json=body)
        )
        assert (embedded.status_code, ranked.status_code) == (200, 200)
        loaded = (await client.get("/status")).json()["embedding_models"]
    assert [model["kind"] for model in loaded] == ["embedding", "rerank"]

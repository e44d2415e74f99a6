"""What is stored of responses over a fake engine: read, listed, deleted, written in the background and cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.api.conftest import PASSPHRASE
from tests.api.test_openai import read_frames
from tests.api.test_responses import URL, WORDS, ai, ask  # noqa: F401 - `ai` is a fixture
from tests.support.fake_engine import FakeEngine
from webui.config import Settings
from webui.core.application import Application
from webui.store.responses import StoredResponse


async def wait_for_end(client: httpx.AsyncClient, response_id: str) -> dict[str, Any]:
    """Its stream ends when it does."""
    await client.get(f"{URL}/{response_id}?stream=true")
    return dict((await client.get(f"{URL}/{response_id}")).json())


async def wait_for_words(application: Application, response_id: str, owner: str = "this machine") -> None:
    log = application.responses.find_log(response_id, owner)
    assert log is not None
    async for frame in log.read():
        if b"output_text.delta" in frame:
            return


# --- stored --------------------------------------------------------------------------------------------------------


async def test_a_response_is_read_again_as_it_was(ai: openai.AsyncOpenAI) -> None:  # noqa: F811
    made = await ai.responses.create(input="think")
    assert (await ai.responses.retrieve(made.id)).to_dict() == made.to_dict()


async def test_input_items_come_in_pages(ai: openai.AsyncOpenAI, client: httpx.AsyncClient) -> None:  # noqa: F811
    items: Any = [{"role": "user", "content": f"part {number}"} for number in range(5)]
    made = await ai.responses.create(input=items)
    pages = ai.responses.input_items.list(made.id, limit=2, order="asc")
    texts = [item.content[0].text async for item in pages]  # type: ignore[index, union-attr]  # all are messages
    assert texts == [f"part {number}" for number in range(5)]
    newest = (await client.get(f"{URL}/{made.id}/input_items", params={"limit": 1})).json()
    assert (newest["data"][0]["content"][0]["text"], newest["has_more"]) == ("part 4", True)
    lost = await client.get(f"{URL}/{made.id}/input_items", params={"after": "msg_elsewhere"})
    assert (lost.status_code, lost.json()["error"]["param"]) == (400, "after")


async def test_a_deleted_response_is_gone(ai: openai.AsyncOpenAI) -> None:  # noqa: F811
    made = await ai.responses.create(input="hi")
    await ai.responses.delete(made.id)
    for gone in (ai.responses.retrieve(made.id), ai.responses.delete(made.id), ai.responses.cancel(made.id)):
        with pytest.raises(openai.NotFoundError) as unknown:
            await gone
        assert unknown.value.code == "response_not_found"


async def test_what_is_not_to_be_stored_is_not(client: httpx.AsyncClient) -> None:
    made = await ask(client, "hi", store=False)
    assert made["store"] is False
    assert (await client.get(f"{URL}/{made['id']}")).status_code == 404


async def test_nobody_else_reads_or_ends_it(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    stranger.headers["x-api-key"] = PASSPHRASE
    running = await ask(client, "long", background=True)
    for asked in ("GET ", "GET ?stream=true", "DELETE ", "POST /cancel", "GET /input_items"):
        method, _, path = asked.partition(" ")
        refusal = await stranger.request(method, f"{URL}/{running['id']}{path}")
        assert (refusal.status_code, refusal.json()["error"]["code"]) == (404, "response_not_found")
    assert (await client.get(f"{URL}/{running['id']}")).json()["status"] in {"queued", "in_progress"}
    await client.delete(f"{URL}/{running['id']}")


# --- in the background ---------------------------------------------------------------------------------------------


async def test_a_response_is_written_while_nobody_waits(client: httpx.AsyncClient) -> None:
    begun = await ask(client, "think", background=True)
    assert (begun["status"], begun["output"]) == ("queued", [])
    done = await wait_for_end(client, begun["id"])
    assert (done["status"], done["background"], done["id"]) == ("completed", True, begun["id"])
    assert done["output"][-1]["content"][0]["text"] == WORDS
    assert (await ask(client, "And?", previous_response_id=begun["id"]))["status"] == "completed"


async def test_one_that_is_still_being_written_is_not_gone_on_from(client: httpx.AsyncClient) -> None:
    running = await ask(client, "long", background=True)
    refusal = await client.post(URL, json={"input": "And?", "previous_response_id": running["id"]})
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (409, "response_unfinished")
    await client.delete(f"{URL}/{running['id']}")


async def test_its_stream_is_taken_up_again(client: httpx.AsyncClient) -> None:
    streamed = await client.post(URL, json={"input": "think", "background": True, "stream": True})
    events = read_frames(streamed.text)
    assert [event["type"] for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    response_id = events[0]["response"]["id"]
    again = await client.get(f"{URL}/{response_id}", params={"stream": True, "starting_after": 4})
    assert read_frames(again.text) == events[5:]
    assert read_frames((await client.get(f"{URL}/{response_id}?stream=true")).text) == events

    plain = await ask(client, "hi")
    for path in (f"{plain['id']}?stream=true", f"{response_id}?starting_after=3"):
        refusal = await client.get(f"{URL}/{path}")
        assert (refusal.status_code, refusal.json()["error"]["param"] in path) == (400, True)


async def test_it_is_cancelled(client: httpx.AsyncClient, ai: openai.AsyncOpenAI, application: Application) -> None:  # noqa: F811
    running = await ask(client, "long", background=True)
    await wait_for_words(application, running["id"])
    cancelled = await ai.responses.cancel(running["id"])
    assert cancelled.status == "cancelled"
    assert cancelled.output_text.startswith("word0 word1")
    assert application.models.alive[0].load.num_running == 0
    assert (await ai.responses.cancel(running["id"])).output_text == cancelled.output_text, "once is enough"
    assert read_frames((await client.get(f"{URL}/{running['id']}?stream=true")).text)[-1]["response"]["status"] == (
        "cancelled"
    )
    plain = await ask(client, "hi")
    refusal = await client.post(f"{URL}/{plain['id']}/cancel")
    assert (refusal.status_code, refusal.json()["error"]["param"]) == (400, "response_id")


async def test_a_deleted_one_stops(client: httpx.AsyncClient, application: Application) -> None:
    running = await ask(client, "long", background=True)
    await wait_for_words(application, running["id"])
    assert (await client.delete(f"{URL}/{running['id']}")).json()["deleted"] is True
    assert application.models.alive[0].load.num_running == 0
    assert (await client.get(f"{URL}/{running['id']}")).status_code == 404


async def test_a_revoked_key_ends_what_it_asked_for(client: httpx.AsyncClient, application: Application) -> None:
    key, token = await application.keys.create("agent", ["inference"])
    client.headers["authorization"] = f"Bearer {token}"
    running = await ask(client, "long", background=True)
    await wait_for_words(application, running["id"], owner=key.id)
    await application.keys.revoke(key.id)
    assert application.models.alive[0].load.num_running == 0
    assert (await application.responses.store.get(running["id"], key.id)).status == "cancelled"


async def test_one_that_fails_says_so(client: httpx.AsyncClient) -> None:
    failed = await wait_for_end(client, (await ask(client, "fail", background=True))["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    busy = await wait_for_end(client, (await ask(client, "busy", background=True))["id"])
    assert (busy["status"], busy["error"]["code"]) == ("failed", "rate_limit_exceeded")


async def test_it_is_told_when_the_server_was_stopped_meanwhile(tmp_path: Path) -> None:
    """Stopped in order, and killed: both are told after the next start."""
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "models")
    settings.models_dir.mkdir()
    cut = StoredResponse(id="resp_cut", owner="this machine", status="in_progress", body={"background": True})
    async with Application(settings, engine_factory=FakeEngine) as first:
        async with api_of(first) as client:
            stopped = await ask(client, "long", background=True)
            await wait_for_words(first, stopped["id"])
        await first.responses.store.add(cut, [])
    async with Application(settings, engine_factory=FakeEngine) as second, api_of(second) as client:
        for response_id in (stopped["id"], "resp_cut"):
            told = (await client.get(f"{URL}/{response_id}")).json()
            assert (told["status"], told["error"]["code"]) == ("failed", "server_error")
            assert "stopped" in told["error"]["message"]


def api_of(application: Application) -> httpx.AsyncClient:
    from fastapi import FastAPI

    from webui.api import add_routes

    app = FastAPI()
    add_routes(app, application)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8002")

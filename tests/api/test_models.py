"""What is kept about models, over HTTP, and how it acts: defaults and presets in requests, several models at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_openai import URL, ask
from tests.core.waiting import until
from tests.library.gguf_files import write_model
from tests.support.fake_engine import FakeEngine
from webui.core.application import Application
from webui.core.live_model import LiveModel
from webui.errors import ModelTooBig
from webui.types import GenerationRequest

STARTER = "SmolLM2-135M-Instruct.Q4_1"
PLACE = f"/manage/models/{STARTER}"
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.fixture
def copy(application: Application) -> Path:
    """A model of one's own in the models folder."""
    return write_model(application.settings.models_dir / "Own-135M.Q4_1.gguf")


def last_asked(application: Application, model_id: str = STARTER) -> GenerationRequest:
    live = application.models.pool.get(model_id)
    assert isinstance(live, LiveModel)
    assert isinstance(live.engine, FakeEngine)
    return live.engine.asked[-1]


async def patch(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    response = await client.patch(PLACE, json=changes)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_what_is_kept_about_a_model_shows_wherever_it_is_listed(client: httpx.AsyncClient) -> None:
    changed = await patch(client, title=" My  little\none ", tags=["fast", "Fast", "en"], is_favourite=True, notes="!")
    assert (changed["name"], changed["tags"], changed["is_favourite"]) == ("My little one", ["fast", "en"], True)
    (listed,) = [each for each in (await client.get("/manage/models")).json() if each["id"] == STARTER]
    assert (listed["name"], listed["notes"], listed["state"], listed["fit"]) == ("My little one", "!", "stopped", None)
    (model,) = [each for each in (await client.get("/v1/models")).json()["data"] if each["id"] == STARTER]
    assert model["name"] == "My little one"
    assert (await patch(client, title=None))["name"] == "SmolLM2 135M Instruct"
    assert (await client.get(PLACE)).json()["fit"]["verdict"] in {"fits", "fits partly", "too big"}


async def test_details_come_from_the_file(client: httpx.AsyncClient) -> None:
    details = (await client.get(f"{PLACE}/details")).json()
    assert (details["model"]["id"], details["num_layers"]) == (STARTER, 30)


@pytest.mark.parametrize(
    ("changes", "status", "code", "word"),
    [
        ({"title": " \n"}, 400, "invalid_default", "title"),
        ({"tags": ["x" * 41]}, 400, "invalid_default", "41 characters"),
        ({"defaults": {"ctx": 1}}, 400, "invalid_default", "256"),
        ({"defaults": {"kv_type": "q8_0", "flash_attention": "off"}}, 400, "invalid_default", "flash attention"),
        ({"defaults": {"keep_alive": "soon"}}, 400, "invalid_request", "not a time"),
        ({"defaults": {"sampling": {"temperature": 9}}}, 400, "invalid_request", "temperature"),
        ({"defaults": {"colour": "red"}}, 400, "invalid_request", "colour"),
        ({"defaults": {"chat_template": "a\nb\n{{ }"}}, 400, "broken_template", "line 3"),
        ({"file_name": "other.gguf"}, 422, "cannot_rename", "not in the models folder"),
    ],
)
async def test_what_cannot_be_kept_is_refused_in_words(
    client: httpx.AsyncClient, changes: dict[str, Any], status: int, code: str, word: str
) -> None:
    response = await client.patch(PLACE, json=changes)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert word in error["message"]


# --- defaults act ----------------------------------------------------------------------------------------------------


async def test_a_models_defaults_act_where_a_request_says_nothing(
    client: httpx.AsyncClient, application: Application
) -> None:
    defaults = {"system_prompt": "Be brief.", "sampling": {"temperature": 0.1, "stop": ["END"], "seed": 7}, "ctx": 1024}
    assert (await patch(client, defaults=defaults | {"chat_template": TEMPLATE}))["defaults"]["ctx"] == 1024
    await client.post(URL, json=ask("hi", n=2))
    asked = last_asked(application)
    assert [message.role for message in asked.messages] == ["system", "user"]
    assert (asked.sampling.temperature, asked.sampling.stop, asked.sampling.seed) == (0.1, ("END",), 8)
    info = application.models.status.info
    assert info is not None
    assert (info.options.context_tokens, info.options.chat_template) == (1024, TEMPLATE)

    said = {"messages": [{"role": "system", "content": "Sing."}, {"role": "user", "content": "hi"}]}
    await client.post(URL, json=said | {"temperature": 1.5, "stop": []})
    asked = last_asked(application)
    assert (asked.messages[0].content, len(asked.messages)) == ("Sing.", 2)
    assert (asked.sampling.temperature, asked.sampling.stop, asked.sampling.seed) == (1.5, (), 7)


async def test_what_a_patch_does_not_name_stays_and_null_takes_it_back(client: httpx.AsyncClient) -> None:
    await patch(client, defaults={"ctx": 1024, "keep_alive": "5m", "sampling": {"logit_bias": {"5": -100}}})
    defaults = (await patch(client, defaults={"ctx": None, "draft_model": ""}))["defaults"]
    assert (defaults["ctx"], defaults["keep_alive"], defaults["draft_model"]) == (None, 300.0, "")
    again = (await patch(client, defaults={"sampling": defaults["sampling"]}))["defaults"]
    assert again == defaults, "what is told can be sent"


async def test_a_default_acts_in_a_chat_of_the_page_too(client: httpx.AsyncClient, application: Application) -> None:
    await patch(client, defaults={"system_prompt": "Be brief.", "sampling": {"temperature": 0.1}})
    conversation = await application.chats.create()
    await application.chats.send(conversation.id, "hi")
    await until(lambda: asked_of(application))
    asked = asked_of(application)[0]
    assert (asked.messages[0].content, asked.sampling.temperature) == ("Be brief.", 0.1)
    own = await application.chats.create()
    await application.chats.update(own.id, system_prompt="Sing.")
    await application.chats.send(own.id, "hi")
    await until(lambda: any(each.conversation == own.id for each in asked_of(application)))
    asked = next(each for each in asked_of(application) if each.conversation == own.id)
    assert (asked.messages[0].content, asked.sampling.temperature) == ("Sing.", 0.1)


def asked_of(application: Application) -> list[GenerationRequest]:
    live = application.models.pool.get(STARTER)
    return live.engine.asked if live is not None and isinstance(live.engine, FakeEngine) else []


async def test_a_preset_is_a_model_of_its_own_for_programs(client: httpx.AsyncClient, application: Application) -> None:
    await patch(client, defaults={"sampling": {"temperature": 0.1}, "system_prompt": "Be brief."})
    body = {"model": STARTER, "defaults": {"system_prompt": "You are a pirate."}}
    undeclared = {"content-type": "application/x-www-form-urlencoded"}  # as curl -d says
    kept = await client.put("/manage/named-presets/Captain Flint", content=json.dumps(body), headers=undeclared)
    assert (kept.status_code, kept.json()["model"]) == (200, STARTER)
    listed = (await client.get("/v1/models")).json()["data"]
    assert [each["base_model"] for each in listed if each["id"] == "Captain Flint"] == [STARTER]
    assert (await client.get("/v1/models/Captain Flint")).json()["quantization"] == "Q4_1"

    answer = (await client.post(URL, json=ask("hi", model="captain flint"))).json()
    asked = last_asked(application)
    assert (answer["model"], asked.messages[0].content) == ("Captain Flint", "You are a pirate.")
    assert asked.sampling.temperature == 0.1, "what the preset does not say, its model's defaults do"
    assert (await client.get(PLACE)).json()["presets"] == ["Captain Flint"]

    taken = await client.put(f"/manage/named-presets/{STARTER.lower()}", json=body)
    assert (taken.status_code, taken.json()["error"]["code"]) == (400, "invalid_default")
    assert (await client.delete("/manage/named-presets/CAPTAIN FLINT")).status_code == 204
    assert (await client.delete("/manage/named-presets/Captain Flint")).status_code == 404
    assert (await client.post(URL, json=ask("hi", model="Captain Flint"))).status_code == 404


@pytest.mark.parametrize("name", ["smollm2:135m", "SmolLM2 135M Instruct", "smollm2"])
async def test_a_model_is_found_by_names_that_other_programs_use(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.post(URL, json=ask("hi", model=name))).json()["model"] == STARTER


async def test_what_is_changed_while_a_model_is_loaded_counts_from_the_next_answer(
    client: httpx.AsyncClient, application: Application
) -> None:
    await client.post(f"{PLACE}/load")
    await patch(client, title="Renamed", defaults={"system_prompt": "Sing."})
    await client.post(URL, json=ask("hi"))
    assert last_asked(application).messages[0].content == "Sing."
    await until(lambda: application.models.status.model and application.models.status.model.name == "Renamed")
    await client.post(f"{PLACE}/load")
    assert len(application.models.alive) == 1
    live = application.models.pool.get(STARTER)
    assert live is not None and isinstance(live.engine, FakeEngine)
    assert len(live.engine.asked) == 1, "another name is no reason to load it again"


# --- files -----------------------------------------------------------------------------------------------------------


async def test_a_renamed_file_keeps_what_is_kept_about_it_and_a_deleted_one_does_not(
    client: httpx.AsyncClient, copy: Path
) -> None:
    await client.patch("/manage/models/Own-135M.Q4_1", json={"title": "Mine", "notes": "keep"})
    await client.put("/manage/named-presets/Half", json={"model": "Own-135M.Q4_1", "defaults": {"ctx": 512}})
    renamed = await client.patch("/manage/models/Own-135M.Q4_1", json={"file_name": "Other.gguf"})
    assert (renamed.status_code, renamed.json()["id"], renamed.json()["name"]) == (200, "Other", "Mine")
    assert renamed.json()["presets"] == ["Half"]

    copy.with_name("Other.gguf").rename(copy.with_name("By-hand.gguf"))
    by_hand = {each["id"]: each for each in (await client.get("/manage/models")).json()}["By-hand"]
    assert (by_hand["title"], by_hand["notes"], by_hand["presets"]) == ("Mine", "keep", ["Half"])

    assert (await client.delete("/manage/models/By-hand")).status_code == 204
    assert [each["id"] for each in (await client.get("/manage/models")).json()] == [STARTER]
    assert (await client.get("/manage/named-presets")).json() == []


async def test_a_file_that_is_loaded_or_would_overwrite_another_is_not_renamed(
    client: httpx.AsyncClient, copy: Path
) -> None:
    copy.with_name("Taken.gguf").write_bytes(b"GGUF")
    taken = await client.patch("/manage/models/Own-135M.Q4_1", json={"file_name": "Taken.gguf"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "file_exists")
    for name in ("../up.gguf", "no-suffix", "con.gguf"):
        bad = await client.patch("/manage/models/Own-135M.Q4_1", json={"file_name": name})
        assert bad.json()["error"]["code"] == "invalid_file_name"
    await client.post("/manage/models/Own-135M.Q4_1/load")
    loaded = await client.patch("/manage/models/Own-135M.Q4_1", json={"file_name": "New.gguf"})
    assert (loaded.status_code, loaded.json()["error"]["code"]) == (422, "cannot_rename")


async def test_the_disk_is_measured(client: httpx.AsyncClient, copy: Path) -> None:
    disk = (await client.get("/manage/disk")).json()
    assert disk["own_bytes"] == (await client.get("/manage/models/Own-135M.Q4_1")).json()["size_bytes"]
    assert 0 < disk["free_bytes"] <= disk["total_bytes"]


# --- several at once -------------------------------------------------------------------------------------------------


async def test_models_are_loaded_side_by_side_and_unloaded_one_by_one(client: httpx.AsyncClient, copy: Path) -> None:
    assert (await client.post(f"{PLACE}/load", json={"ctx": 512})).json()["state"] == "ready"
    assert (await client.post(URL, json=ask("hi", model="Own-135M.Q4_1"))).json()["model"] == "Own-135M.Q4_1"
    running = {each["id"]: each for each in (await client.get("/manage/ps")).json()}
    assert {name: each["is_page"] for name, each in running.items()} == {STARTER: True, "Own-135M.Q4_1": False}
    assert running[STARTER]["context_tokens"] == 512
    assert running[STARTER]["seconds_left"] is None, "the page's model stays"
    assert 0 < running["Own-135M.Q4_1"]["seconds_left"] <= 600
    assert (await client.get("/status")).json()["models"][1]["id"] == "Own-135M.Q4_1"
    assert (await client.post(f"{PLACE}/unload")).json()["state"] == "stopped"
    assert [each["id"] for each in (await client.get("/manage/ps")).json()] == ["Own-135M.Q4_1"]
    await client.post("/unload_model")
    assert (await client.get("/manage/ps")).json() == []


async def test_a_request_says_how_long_its_model_stays(client: httpx.AsyncClient, application: Application) -> None:
    async def seconds_left(**how: Any) -> float | None:
        await client.post(URL, json=ask("hi", model=STARTER, **how))
        return (await client.get("/manage/ps")).json()[0]["seconds_left"]  # type: ignore[no-any-return]

    assert 295 < (await seconds_left(keep_alive="5m") or 0) <= 300
    assert 3595 < (await seconds_left(keep_alive=3600) or 0) <= 3600
    assert 3595 < (await seconds_left() or 0) <= 3600, "as the last request that said so"
    assert await seconds_left(keep_alive=-1) is None
    loaded = (await client.post("/load_model", json={"model": STARTER, "keep_alive": "1m"})).json()
    assert 55 < loaded["models"][0]["seconds_left"] <= 60
    await client.post(URL, json=ask("hi", model=STARTER, keep_alive=0))
    await until(lambda: not application.models.alive)
    refused = await client.post(URL, json=ask("hi", keep_alive="a while"))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "keep_alive")


async def test_a_model_that_does_not_fit_says_so_and_harms_nobody(
    client: httpx.AsyncClient, application: Application, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.post(f"{PLACE}/load")

    def too_big(*_: object) -> None:
        raise ModelTooBig("Own", 2 << 40, 1 << 30)

    monkeypatch.setattr(application.models.pool, "_planner", too_big)
    refused = await client.post(URL, json=ask("hi", model="Own-135M.Q4_1"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "model_too_big")
    assert (await client.get("/manage/models/Own-135M.Q4_1")).json()["fit"]["verdict"] == "too big"
    assert (await client.get("/status")).json()["state"] == "ready"

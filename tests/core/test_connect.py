"""What programs are told, and what is said of the requests that they would make."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from webui.config import Settings
from webui.core.connect import Client, Place, Step, find_client, find_place, load_clients, render, try_client
from webui.core.connect.place import NO_KEY, YOUR_KEY
from webui.core.model_manager import ModelManager
from webui.errors import UnknownClient

HOSTILE = "a\"b'c\\d\n$(rm)`é"
SEEN = HOSTILE.replace("\n", "\N{REPLACEMENT CHARACTER}")
PLACE = Place("http://192.168.1.5:8002", model="Tiny-Q4", context_tokens=4096, key="sk-demo", is_loopback=False)


def text_of(client: Client, language: str, place: Place = PLACE) -> str:
    return next(each.text for each in render(client, place).paste if each.language == language)


def test_every_client_is_whole() -> None:
    clients = load_clients()
    assert len({client.id for client in clients}) == len(clients) >= 20
    for client in clients:
        assert client.source.startswith("https://")
        for paste in render(client, PLACE).paste:
            assert "{{" not in paste.text, client.id
        whole = "".join(paste.text for paste in render(client, PLACE).paste)
        assert PLACE.base_url in whole


def test_a_client_is_found_by_its_name_too() -> None:
    assert find_client(" claude code ").id == "claude-code"
    with pytest.raises(UnknownClient, match="netscape"):
        find_client("netscape")


@pytest.mark.parametrize("client", load_clients(), ids=lambda client: client.id)
def test_a_hostile_name_of_a_model_stays_a_name(client: Client) -> None:
    """Each text is read by what will read it."""
    for paste in render(client, Place("http://h:1", model=HOSTILE)).paste:
        match paste.language:
            case "json":
                assert SEEN in repr_of(json.loads(paste.text)) or "model" not in paste.text.lower()
            case "yaml":
                assert json.dumps(SEEN, ensure_ascii=False) in paste.text, "YAML reads quoted text as JSON does"
            case "toml":
                assert tomllib.loads(paste.text)["model"] == SEEN
            case "python":
                compile(paste.text, client.id, "exec")
            case "bash":
                words = shlex.split(paste.text)
                assert "$(rm)`é" not in words, "it is never a word of its own"
            case _:
                assert "\n$(rm)" not in paste.text


def repr_of(value: Any) -> list[str]:
    """Every text in it."""
    match value:
        case dict():
            return [*value, *(text for each in value.values() for text in repr_of(each))]
        case list():
            return [text for each in value for text in repr_of(each)]
        case _:
            return [str(value)]


def test_what_cannot_work_is_said() -> None:
    local = Place("http://localhost:8002")
    assert "--lan" in " ".join(render(find_client("open-webui"), local).hints)
    assert "--lan" not in " ".join(render(find_client("open-webui"), PLACE).hints)
    assert "no place for a key" in " ".join(render(find_client("ollama"), PLACE).hints)


# --- this server, as programs see it -----------------------------------------------------------------------------


def settings(tmp_path: Path, **more: Any) -> Settings:
    return Settings(data_dir=tmp_path, models_dir=tmp_path, _env_file=None, **more)  # type: ignore[call-arg]


async def test_a_server_for_this_machine(tmp_path: Path, models: ModelManager) -> None:
    place = await find_place(settings(tmp_path, port=9000), models)
    assert (place.base_url, place.key, place.model) == ("http://localhost:9000", NO_KEY, "starter")
    await models.load("small")
    loaded = await find_place(settings(tmp_path), models)
    assert (loaded.model, loaded.context_tokens) == ("small", 2048)
    assert (await find_place(settings(tmp_path), models, model="large")).model == "large"


async def test_a_shared_server(tmp_path: Path, models: ModelManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webui.core.connect.place.share_urls", lambda *_: ["http://192.168.1.5:8002"])
    place = await find_place(settings(tmp_path, lan=True), models)
    assert (place.base_url, place.key) == ("http://192.168.1.5:8002", YOUR_KEY)
    assert (await find_place(settings(tmp_path, lan=True, sign_in=False), models)).key == NO_KEY
    asked = await find_place(settings(tmp_path, lan=True), models, asked_url="https://ai.example.org/")
    assert asked.base_url == "https://ai.example.org"


# --- the test ----------------------------------------------------------------------------------------------------


async def steps_of(client: str, answer: httpx.Response) -> list[Step]:
    """What is said of a server that always says the same."""
    transport = httpx.MockTransport(lambda _: answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://h") as http:
        return [step async for step in try_client(find_client(client), http, model="m", key="k")]


@pytest.mark.parametrize("client", ["openai-python", "codex", "claude-code", "ollama-python"])
async def test_a_refusal_is_told_in_the_server_s_words(client: str) -> None:
    first, *others = await steps_of(client, httpx.Response(401, json={"error": {"message": "Who are you?"}}))
    assert (first.state, first.words) == ("failed", "The server said no (401): Who are you? Check the key.")
    assert {step.state for step in others} <= {"skipped"}


@pytest.mark.parametrize("client", ["openai-python", "codex", "claude-code", "ollama-python"])
@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, json={}), httpx.Response(200, text="<html>"), httpx.Response(200, json=[1]),
     httpx.Response(502, text="Bad Gateway")],
)  # fmt: skip
async def test_nonsense_is_told_too(client: str, answer: httpx.Response) -> None:
    [first, *_] = await steps_of(client, answer)
    assert first.state == "failed"


async def test_a_server_that_is_not_there() -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1") as http:
        [first, *_] = [step async for step in try_client(find_client("curl"), http, model="m", key="k")]
    assert "could not be asked" in first.words

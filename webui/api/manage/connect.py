"""The doctor for clients: what a program is told to use this server, and a test that asks what it would ask."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from webui.api.dependencies import App, get_stopping
from webui.api.door.hosts import is_loopback
from webui.api.hangup import run_while_connected
from webui.core.application import Application
from webui.core.connect import Configuration, Place, Step, find_client, find_place, load_clients, render, try_here

router = APIRouter(prefix="/manage/connect", tags=["Connecting programs"])


class ClientSummary(BaseModel):
    id: str
    name: str
    kind: str = Field(description="library, terminal, editor, chat or home")
    speaks: str = Field(description="The dialect that it speaks: openai, responses, anthropic or ollama")
    uses: list[str] = Field(description="What the test tries: list, chat, stream, tools")
    source: str = Field(description="Where its configuration was looked up")


class PastedText(BaseModel):
    where: str
    language: str = Field(description="Of the text; fields: lines of “Name: value” for a form")
    text: str


class Connection(ClientSummary):
    address: str = Field(description="This server as the program reaches it")
    model: str
    paste: list[PastedText]
    hints: list[str]


class StepResult(BaseModel):
    use: str
    title: str
    state: Literal["ok", "note", "failed", "skipped"]
    words: str
    seconds: float


class TestResult(BaseModel):
    is_ok: bool
    steps: list[StepResult]


class TestBody(BaseModel):
    model: str | None = None
    key: str | None = Field(None, description="Sent as the program would; without one the test speaks for this machine")


@router.get("", summary="The programs that are known")
async def list_clients() -> list[ClientSummary]:
    return [ClientSummary(**_summary(client)) for client in load_clients()]


@router.get("/{name}", summary="What a program is to be told")
async def show_client(name: str, request: Request, application: App, model: str | None = None) -> Connection:
    client = find_client(name)
    place = await place_of(request, application, model)
    return _connection(render(client, place), place)


@router.post("/{name}/test", summary="Ask what a program would ask")
async def test_client(name: str, body: TestBody, request: Request, application: App) -> TestResult:
    """Really asks: a model may be loaded for it, and some tokens are written."""
    client = find_client(name)
    place = await place_of(request, application, body.model)

    async def try_it() -> list[Step]:
        address = request.client.host if request.client else ""
        steps = try_here(client, application.wire, place, key=body.key or "", address=address)
        async with aclosing(steps):
            return [step async for step in steps]

    steps = await run_while_connected(request.receive, get_stopping(request), try_it())
    return TestResult(
        is_ok=all(step.state in {"ok", "note"} for step in steps),
        steps=[StepResult(**_step(step)) for step in steps],
    )


async def place_of(request: Request, application: Application, model: str | None = None) -> Place:
    """The place for whoever asks: from another machine under the address that it asked at."""
    host = request.url.hostname or "localhost"
    asked_url = None if host == "localhost" or is_loopback(host) else str(request.base_url)
    return await find_place(application.settings, application.models, asked_url=asked_url, model=model)


def _summary(client: Any) -> dict[str, Any]:
    return {name: getattr(client, name) for name in ("id", "name", "kind", "speaks", "source")} | {
        "uses": list(client.uses)
    }


def _connection(configuration: Configuration, place: Place) -> Connection:
    return Connection(
        **_summary(configuration.client),
        address=place.base_url,
        model=place.model,
        paste=[PastedText(where=each.where, language=each.language, text=each.text) for each in configuration.paste],
        hints=list(configuration.hints),
    )


def _step(step: Step) -> dict[str, Any]:
    return {name: getattr(step, name) for name in ("use", "title", "state", "words", "seconds")}

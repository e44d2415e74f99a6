"""What every request leaves behind: figures by dialect and route, a line of the log, a span; never by a raw path."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from tests.core.waiting import until, until_async
from webui.api.door.route_names import RouteNames
from webui.core.application import Application
from webui.core.telemetry.spans import Spans
from webui.server import configure_logging

STARTER = "SmolLM2-135M-Instruct.Q4_1"
CHAT = "/v1/chat/completions"


def ask(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


async def figure(client: httpx.AsyncClient, name: str, **labels: str) -> float:
    """The sum of all series of this name that have these labels."""
    text = (await client.get("/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"glasshouse_{name}" and labels.items() <= sample.labels.items()
    )


async def test_requests_are_counted_by_dialect_route_and_status(client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json=ask())
    await client.post("/api/chat", json=ask(model=STARTER))
    await client.post("/v1/messages", json=ask(model=STARTER, max_tokens=3))
    await client.post("/completion", json={"prompt": "hi"})
    await client.get(f"/v1/models/{STARTER}")
    await client.get("/v1/models/unheard-of")
    assert await figure(client, "http_requests_total", dialect="openai", route=CHAT, status="200", method="POST") == 1
    assert await figure(client, "http_requests_total", dialect="ollama", route="/api/chat") == 1
    assert await figure(client, "http_requests_total", dialect="anthropic", route="/v1/messages") == 1
    assert await figure(client, "http_requests_total", dialect="llama_cpp", route="/completion") == 1
    assert await figure(client, "http_requests_total", route="/v1/models/{model:path}", status="200") == 1
    assert await figure(client, "http_requests_total", route="/v1/models/{model:path}", status="404") == 1
    assert await figure(client, "http_request_duration_seconds_count", dialect="openai", route=CHAT) == 1
    assert await figure(client, "http_requests_in_flight") == 1, "the scrape itself"


async def test_no_client_can_make_up_series(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    async def series() -> set[str]:
        return {line.rpartition(" ")[0] for line in (await client.get("/metrics")).text.splitlines()}

    async def wander(word: str) -> None:
        for path in (f"/v1/{word}", f"/{word}", f"/v1/models/{word}", f"/api/{word}?{word}={word}"):
            await client.get(path)
            await stranger.get(path)
        await client.request(word.upper(), "/v1/models")
        await client.post(CHAT, json=ask(model=word))

    await wander("one")
    await series()  # which is a request, too
    before = await series()
    for word in ("two", "three", "four"):
        await wander(word)
    assert await series() == before
    assert await figure(client, "http_requests_total", dialect="none", route="(none)", status="404") >= 4
    assert await figure(client, "http_requests_total", method="other") == 4


async def test_errors_are_counted_by_code_also_before_the_routes_and_in_mid_stream(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    await client.post(CHAT, json=ask("too long"))
    await client.post(CHAT, json=ask(temperature=99))
    await client.post(CHAT, content=b"{", headers={"content-type": "application/json"})
    await client.post(CHAT, content=b"{")  # its type is assumed
    await stranger.get("/v1/models")
    streamed = await client.post(CHAT, json=ask("fail", stream=True))
    assert streamed.status_code == 200
    codes = {
        code: await figure(client, "errors_total", code=code)
        for code in ("context_too_long", "invalid_request", "invalid_json", "sign_in_required", "engine_died")
    }
    assert codes == {
        "context_too_long": 1, "invalid_request": 1, "invalid_json": 2, "sign_in_required": 1, "engine_died": 1,
    }  # fmt: skip
    assert await figure(client, "errors_total", dialect="openai", code="invalid_json") == 2
    assert await figure(client, "answers_total", dialect="openai", reason="failed") == 2


async def test_answers_are_measured_while_they_are_written(client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json=ask(stream=True))
    await client.post("/api/generate", json={"model": STARTER, "prompt": "hi", "stream": False})
    of_openai = {"dialect": "openai", "model": STARTER}
    assert await figure(client, "answers_total", **of_openai, reason="stop") == 1
    assert await figure(client, "time_to_first_token_seconds_count", **of_openai) == 1
    assert await figure(client, "inter_token_seconds_count", **of_openai) == 3, "between four words"
    assert await figure(client, "time_per_output_token_seconds_sum", **of_openai) == pytest.approx(0.01)
    assert await figure(client, "queue_seconds_count", **of_openai) == 1
    assert await figure(client, "prompt_seconds_sum", **of_openai) == pytest.approx(0.01)
    tokens = {
        kind: await figure(client, "answer_tokens_total", **of_openai, kind=kind)
        for kind in ("prompt", "cached", "completion")
    }
    assert tokens == {"prompt": 7, "cached": 3, "completion": 4}
    assert await figure(client, "answers_total", dialect="ollama") == 1


async def test_a_client_that_hangs_up_is_a_cancelled_answer(
    client: httpx.AsyncClient, application: Application
) -> None:
    waiting = asyncio.create_task(client.post(CHAT, json=ask("long")))
    await until(lambda: application.models.status.load.num_running)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await figure(client, "answers_total", reason="cancelled") == 1
    assert await figure(client, "http_requests_in_flight") == 1


async def test_a_chat_in_the_page_is_measured_too(client: httpx.AsyncClient, application: Application) -> None:
    conversation = await application.chats.create()
    await application.chats.send(conversation.id, "hi")
    await until_async(lambda: figure(client, "answers_total", dialect="page", reason="stop"))


async def test_openmetrics_for_those_who_ask_for_it(client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json=ask())
    accept = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"}
    response = await client.get("/metrics", headers=accept)
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = openmetrics_families(response.text)  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert {"glasshouse_http_requests", "glasshouse_inter_token_seconds", "process_start_time_seconds"} <= names
    for odd in ("application/openmetrics-text;version=nonsense", "*/*", "\x7f"):
        assert (await client.get("/metrics", headers={"Accept": odd})).status_code == 200


async def test_every_request_of_a_program_is_a_line_without_what_was_said(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "webui.access")
    await client.post(f"{CHAT}?key=secret", json=ask("a secret", user="secret"), headers={"x-api-key": "secret"})
    await stranger.get("/v1/models")
    for quiet in ("/health", "/health/live", "/metrics"):
        await client.get(quiet)
    assert "secret" not in caplog.text
    told = [(record.levelname, vars(record)["fields"]) for record in caplog.records if record.name == "webui.access"]
    assert [(level, fields["route"], fields["status"], fields["owner"]) for level, fields in told] == [
        ("INFO", CHAT, 200, "this machine"),
        ("INFO", "(none)", 401, ""),
    ]
    assert told[0][1] | {"model": STARTER, "prompt_tokens": 7, "completion_tokens": 4} == told[0][1]
    assert told[1][1]["error"] == "sign_in_required"


def test_the_settings_decide_how_the_log_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    configure_logging("info", "json")
    logging.captureWarnings(False)
    logging.getLogger("webui.test").info("Hello")
    logging.getLogger("webui.test").debug("Nothing")
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "Hello"


@pytest.fixture
async def exporter(application: Application) -> AsyncIterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    application.telemetry.tracing = Spans(SimpleSpanProcessor(exporter))
    yield exporter


async def test_a_trace_goes_on_from_the_clients_own(client: httpx.AsyncClient, exporter: InMemorySpanExporter) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    await client.post(CHAT, json=ask(n=2, seed=1), headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    found = exporter.get_finished_spans()
    names = [span.name for span in found]
    assert names.count("chat " + STARTER) == 2, "one for each choice"
    assert names.count("decode") == 2
    assert {f"{span.context.trace_id:032x}" for span in found} == {trace_id}
    [request] = [span for span in found if span.name == f"POST {CHAT}"]
    assert (request.attributes or {})["http.response.status_code"] == 200


async def test_the_dashboard_asks_only_for_series_that_exist(client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json=ask())
    families = list(text_string_to_metric_families((await client.get("/metrics")).text))
    known = {sample.name for family in families for sample in family.samples}
    known |= {family.name for family in families} | {
        f"{each.name}_total" for each in families if each.type == "counter"
    }
    dashboard = json.loads((Path(__file__).parents[2] / "docs" / "grafana.json").read_text(encoding="utf-8"))
    asked = expressions(dashboard)
    assert len(asked) > 20
    for expression in asked:
        names = names_in(expression)
        assert names, f"no series in {expression}"
        assert names <= known, f"{expression} asks for {names - known}"


def test_the_dashboard_can_be_imported() -> None:
    """What Grafana refuses or draws over each other: ids twice, panels without a place or a source."""
    dashboard = json.loads((Path(__file__).parents[2] / "docs" / "grafana.json").read_text(encoding="utf-8"))
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= dashboard.keys()
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24, f"{panel['title']} lies over another panel"
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["description"] and panel["targets"]
    assert [each["name"] for each in dashboard["templating"]["list"]] == ["datasource", "model", "dialect"]


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """Of every panel and every variable."""
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = [each["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    return [target["expr"] for target in targets] + [each["query"] for each in variables]


def names_in(expression: str) -> set[str]:
    """The names of metrics in a PromQL expression."""
    words = "".join(sign if sign.isalnum() or sign in "_:" else " " for sign in expression).split()
    return {word for word in words if word.startswith(("glasshouse_", "process_"))}


def test_every_route_has_its_dialect(app: FastAPI) -> None:
    found = {each.template: each.dialect for each in RouteNames(app.router.routes).names}
    assert {
        path: found[path]
        for path in ("/v1/embeddings", "/api/embed", "/v1/messages", "/api/v0/models", "/tokenize", "/manage/models")
    } == {
        "/v1/embeddings": "openai",
        "/api/embed": "ollama",
        "/v1/messages": "anthropic",
        "/api/v0/models": "lm_studio",
        "/tokenize": "llama_cpp",
        "/manage/models": "glasshouse",
    }
    assert set(found.values()) == {"openai", "ollama", "anthropic", "lm_studio", "llama_cpp", "glasshouse"}

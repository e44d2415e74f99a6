"""/metrics: what Prometheus scrapes, read with Prometheus' own parser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as families_of

from tests.api.conftest import PASSPHRASE
from tests.engine.tiny_embedding_models import write_bert
from tests.support.fake_engine import FakeEngine
from webui.core.application import Application
from webui.types import EngineLoad, EngineMetrics

STARTER = "SmolLM2-135M-Instruct.Q4_1"
LOAD = EngineLoad(
    num_running=2,
    num_waiting=1,
    kv_used=700,
    kv_total=4096,
    tokens_per_second=55.5,
    slots_used=3,
    parked_bytes=34_000_000,
    disk_bytes=90_000_000,
    metrics=EngineMetrics(
        num_finished={"stop": 5, "cancelled": 2, "failed": 1},
        prompt_tokens=1000,
        cached_tokens={"slot": 300, "parked": 200, "disk": 100},
        generated_tokens=400,
        drafted_tokens=40,
        accepted_tokens=30,
        num_steps=123,
        step_seconds=4.5,
        num_preemptions=1,
    ),
)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(client: httpx.AsyncClient) -> Samples:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples: Samples = {}
    for family in families_of(response.text):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples, "each series once"
            samples[key] = sample.value
    return samples


def of_model(name: str, model: str = STARTER, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return (name, frozenset({"model": model, **labels}.items()))


@pytest.fixture
async def engine(client: httpx.AsyncClient, application: Application) -> FakeEngine:
    await client.post("/load_model", json={"model": STARTER})
    engine = await application.models.ensure_loaded()
    assert isinstance(engine, FakeEngine)
    return engine


def of_engines(samples: Samples) -> Samples:
    """What engines reported; the server's own counts have a dialect, too."""
    return {
        key: value for key, value in samples.items() if {"model"} == {name for name, _ in key[1]} - {"reason", "source"}
    }


async def test_without_a_model_there_are_no_figures_of_one(client: httpx.AsyncClient) -> None:
    samples = await scrape(client)
    assert of_engines(samples) == {}
    assert {"glasshouse_info", "process_start_time_seconds", "glasshouse_ram_bytes"} <= {name for name, _ in samples}


async def test_what_the_engine_reports_can_be_scraped(
    client: httpx.AsyncClient, application: Application, engine: FakeEngine
) -> None:
    engine.report_load(LOAD)
    samples = of_engines(await scrape(client))
    info = application.models.status.info
    assert info is not None
    assert {key: samples[key] for key in samples if "total" not in key[0]} == {
        of_model("glasshouse_model_ready"): 1,
        of_model("glasshouse_engine_resident_bytes"): 118_000_000,
        of_model("glasshouse_requests_running"): 2,
        of_model("glasshouse_requests_waiting"): 1,
        of_model("glasshouse_slots"): info.options.num_slots,
        of_model("glasshouse_slots_used"): 3,
        of_model("glasshouse_kv_tokens"): 4096,
        of_model("glasshouse_kv_used_tokens"): 700,
        of_model("glasshouse_parked_bytes"): 34_000_000,
        of_model("glasshouse_disk_bytes"): 90_000_000,
        of_model("glasshouse_tokens_per_second"): 55.5,
    }
    assert {key: samples[key] for key in samples if "total" in key[0]} == {
        of_model("glasshouse_requests_total", reason="stop"): 5,
        of_model("glasshouse_requests_total", reason="cancelled"): 2,
        of_model("glasshouse_requests_total", reason="failed"): 1,
        of_model("glasshouse_prompt_tokens_total"): 1000,
        of_model("glasshouse_cached_tokens_total", source="slot"): 300,
        of_model("glasshouse_cached_tokens_total", source="parked"): 200,
        of_model("glasshouse_cached_tokens_total", source="disk"): 100,
        of_model("glasshouse_generated_tokens_total"): 400,
        of_model("glasshouse_drafted_tokens_total"): 40,
        of_model("glasshouse_accepted_tokens_total"): 30,
        of_model("glasshouse_steps_total"): 123,
        of_model("glasshouse_step_seconds_total"): 4.5,
        of_model("glasshouse_preemptions_total"): 1,
    }


async def test_every_figure_is_in_the_documentation(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.report_load(LOAD)
    documentation = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
    await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
    names = {family.name.removeprefix("glasshouse_") for family in families_of((await client.get("/metrics")).text)}
    assert [name for name in sorted(names) if f"`{name}" not in documentation] == []


async def test_a_model_that_embeds_has_series_of_its_own(
    client: httpx.AsyncClient, application: Application, engine: FakeEngine
) -> None:
    write_bert(application.settings.models_dir / "Embed.gguf")
    reply = await client.post("/v1/embeddings", json={"model": "Embed", "input": ["the fox jumps", "red"]})
    num_tokens = reply.json()["usage"]["prompt_tokens"]
    deadline = asyncio.get_running_loop().time() + 10
    while not (samples := await scrape(client)).get(of_model("glasshouse_requests_total", "Embed", reason="stop")):
        assert asyncio.get_running_loop().time() < deadline, "the engine reports once a second"
        await asyncio.sleep(0.05)
    assert samples[of_model("glasshouse_prompt_tokens_total", "Embed")] == num_tokens
    of_program = {"dialect": "openai", "kind": "prompt"}
    assert samples[of_model("glasshouse_answer_tokens_total", "Embed", **of_program)] == num_tokens
    assert of_model("glasshouse_inter_token_seconds_count", "Embed", dialect="openai") not in samples
    assert samples[of_model("glasshouse_model_ready", "Embed")] == samples[of_model("glasshouse_model_ready")] == 1


async def test_an_unloaded_model_takes_its_figures_with_it(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.report_load(LOAD)
    await client.post("/unload_model")
    assert of_engines(await scrape(client)) == {}


async def test_scraping_twice_says_the_same(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.report_load(LOAD)
    assert of_engines(await scrape(client)) == of_engines(await scrape(client)) != {}


async def test_figures_are_for_those_who_may_pass_the_gate(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/metrics")).status_code == 401
    response = await stranger.get("/metrics", headers={"Authorization": f"Bearer {PASSPHRASE}"})
    assert "glasshouse_info" in response.text

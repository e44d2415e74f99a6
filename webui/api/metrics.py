"""Figures for Prometheus, in its text format or OpenMetrics: what the engines reported last, what the server counted,
and what both take of the machine.

Each scrape makes a registry of its own from one snapshot; nothing is kept here. Series of an engine carry its model's
id, and there are none while no model is there. What is counted, and where, is for `core.telemetry`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from webui.api.dependencies import App
from webui.api.house_figures import HouseFigures
from webui.api.key_figures import KeyFigures
from webui.core.application import Application
from webui.types import EngineLoad, EngineMetrics

router = APIRouter(tags=["Glasshouse"])


@router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
async def get_metrics(application: App, accept: Annotated[str, Header()] = "") -> PlainTextResponse:
    """Requests, errors, time to the first token and between tokens; queue, slots, KV memory, cache hits and steps of
    each engine; memory. OpenMetrics for those who accept `application/openmetrics-text`. An engine reports once a
    second; its counts begin again when a model is loaded, all others when the server starts."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(list(_engines(application))))
    registry.register(application.telemetry.meters)
    registry.register(HouseFigures(application.models.memory(), application.response_cache))
    registry.register(KeyFigures(application.keys.all()))
    if "application/openmetrics-text" in accept:
        text = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return PlainTextResponse(text, media_type=openmetrics.CONTENT_TYPE_LATEST)
    return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@dataclass(frozen=True, slots=True)
class _Engine:
    """One engine, as it is now."""

    model_id: str
    is_ready: bool
    resident_bytes: int
    num_slots: int
    load: EngineLoad


def _engines(application: Application) -> Iterator[_Engine]:
    alive = application.models.alive
    for each in alive:
        yield _Engine(each.model.id, each.state == "ready", each.memory_bytes, each.num_slots, each.load)
    page = application.models.status
    if page.model is not None and all(each.model.id != page.model.id for each in alive):  # it failed
        yield _Engine(page.model.id, is_ready=False, resident_bytes=0, num_slots=0, load=page.load)


class _Snapshot(Collector):
    """The metric families of some engines, each with one sample (or more) an engine."""

    def __init__(self, engines: Sequence[_Engine]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        if self._engines:
            yield from self._of_processes()
            yield from self._of_load()
            yield from self._of_work()

    def _of_processes(self) -> Iterable[Metric]:
        yield self._gauge("model_ready", "1 while the model can answer.", lambda engine: engine.is_ready)
        yield self._gauge(
            "engine_resident_bytes", "Resident memory of the engine process.", lambda engine: engine.resident_bytes
        )
        yield self._gauge("slots", "Sequences that fit side by side.", lambda engine: engine.num_slots)

    def _of_load(self) -> Iterable[Metric]:
        def gauge(name: str, documentation: str, value: Callable[[EngineLoad], float]) -> Metric:
            return self._gauge(name, documentation, lambda engine: value(engine.load))

        yield gauge("requests_running", "Requests that hold a slot.", lambda load: load.num_running)
        yield gauge("requests_waiting", "Requests in the queue.", lambda load: load.num_waiting)
        yield gauge("slots_used", "Slots with a request, or what one left.", lambda load: load.slots_used)
        yield gauge("kv_tokens", "Tokens that the KV memory has room for.", lambda load: load.kv_total)
        yield gauge("kv_used_tokens", "Tokens in the KV memory, idle prefixes too.", lambda load: load.kv_used)
        yield gauge("parked_bytes", "States of idle conversations in RAM.", lambda load: load.parked_bytes)
        yield gauge("disk_bytes", "States of idle conversations on disk.", lambda load: load.disk_bytes)
        yield gauge(
            "tokens_per_second", "Tokens over the last second, all together.", lambda load: load.tokens_per_second
        )

    def _of_work(self) -> Iterable[Metric]:
        counter, by = self._counter, self._counters
        yield by("requests", "Requests by how they ended.", "reason", lambda work: work.num_finished)
        yield counter("prompt_tokens", "Tokens of prompts, cached ones too.", lambda work: work.prompt_tokens)
        yield by(
            "cached_tokens", "Tokens of prompts that were found, by where.", "source", lambda work: work.cached_tokens
        )
        yield counter("generated_tokens", "Tokens written.", lambda work: work.generated_tokens)
        yield counter("drafted_tokens", "Tokens guessed ahead.", lambda work: work.drafted_tokens)
        yield counter("accepted_tokens", "Tokens guessed ahead rightly.", lambda work: work.accepted_tokens)
        yield counter("steps", "Batches that were computed.", lambda work: work.num_steps)
        yield counter("step_seconds", "Seconds spent in them.", lambda work: work.step_seconds)
        yield counter(
            "preemptions", "Requests that gave their slot back for a while.", lambda work: work.num_preemptions
        )

    # --- families --------------------------------------------------------------------------------------------------

    def _gauge(self, name: str, documentation: str, value: Callable[[_Engine], float]) -> Metric:
        family = GaugeMetricFamily(f"glasshouse_{name}", documentation, labels=["model"])
        for engine in self._engines:
            family.add_metric([engine.model_id], value(engine))
        return family

    def _counter(self, name: str, documentation: str, value: Callable[[EngineMetrics], float]) -> Metric:
        family = CounterMetricFamily(f"glasshouse_{name}", documentation, labels=["model"])
        for engine in self._engines:
            family.add_metric([engine.model_id], value(engine.load.metrics))
        return family

    def _counters(
        self, name: str, documentation: str, label: str, values: Callable[[EngineMetrics], Mapping[str, float]]
    ) -> Metric:
        family = CounterMetricFamily(f"glasshouse_{name}", documentation, labels=["model", label])
        for engine in self._engines:
            for key, value in sorted(values(engine.load.metrics).items()):
                family.add_metric([engine.model_id, key], value)
        return family

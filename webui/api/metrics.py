"""Figures for Prometheus: what the engine reported last, in its text format.

Each scrape makes a registry of its own from one snapshot of the status; nothing is kept here. Series of the engine
carry the model's id, and there are none while no model is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webui import __version__
from webui.api.dependencies import App
from webui.types import ModelStatus

router = APIRouter(tags=["Glasshouse"])


@router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
async def get_metrics(application: App) -> PlainTextResponse:
    """Queue, slots, KV memory, tokens, cache hits and steps, in Prometheus' text format. The engine reports once a
    second; its counts begin again when a model is loaded."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(application.models.status))
    return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Snapshot(Collector):
    """The metric families of one status."""

    def __init__(self, status: ModelStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        version = GaugeMetricFamily("glasshouse_info", "Which Glasshouse this is.", labels=["version"])
        version.add_metric([__version__], 1)
        yield version
        status = self._status
        if status.model is not None:
            series = _Series(status.model.id)
            yield from _of_process(series, status)
            yield from _of_load(series, status)
            yield from _of_work(series, status)


class _Series:
    """Makes the families of one model: each sample carries its id."""

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id

    def gauge(self, name: str, documentation: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"glasshouse_{name}", documentation, labels=["model"])
        family.add_metric([self._model_id], value)
        return family

    def counter(self, name: str, documentation: str, value: float) -> Metric:
        family = CounterMetricFamily(f"glasshouse_{name}", documentation, labels=["model"])
        family.add_metric([self._model_id], value)
        return family

    def counters(self, name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
        family = CounterMetricFamily(f"glasshouse_{name}", documentation, labels=["model", label])
        for key, value in sorted(values.items()):
            family.add_metric([self._model_id, key], value)
        return family


def _of_process(series: _Series, status: ModelStatus) -> Iterable[Metric]:
    yield series.gauge("model_ready", "1 while the model can answer.", float(status.state == "ready"))
    yield series.gauge("engine_resident_bytes", "Resident memory of the engine process.", status.memory_bytes)


def _of_load(series: _Series, status: ModelStatus) -> Iterable[Metric]:
    load = status.load
    num_slots = status.info.options.num_slots if status.info else 0
    yield series.gauge("requests_running", "Requests that hold a slot.", load.num_running)
    yield series.gauge("requests_waiting", "Requests in the queue.", load.num_waiting)
    yield series.gauge("slots", "Sequences that fit side by side.", num_slots)
    yield series.gauge("slots_used", "Slots that hold a request, or what an earlier one left.", load.slots_used)
    yield series.gauge("kv_tokens", "Tokens that the KV memory has room for.", load.kv_total)
    yield series.gauge("kv_used_tokens", "Tokens in the KV memory, idle prefixes too.", load.kv_used)
    yield series.gauge("parked_bytes", "States of idle conversations in RAM.", load.parked_bytes)
    yield series.gauge("disk_bytes", "States of idle conversations on disk.", load.disk_bytes)
    yield series.gauge(
        "tokens_per_second", "Tokens written over the last second, all together.", load.tokens_per_second
    )


def _of_work(series: _Series, status: ModelStatus) -> Iterable[Metric]:
    work = status.load.metrics
    yield series.counters("requests", "Requests by how they ended.", "reason", work.num_finished)
    yield series.counter("prompt_tokens", "Tokens of prompts, cached ones too.", work.prompt_tokens)
    yield series.counters(
        "cached_tokens", "Tokens of prompts that were not computed again, by where.", "source", work.cached_tokens
    )
    yield series.counter("generated_tokens", "Tokens written.", work.generated_tokens)
    yield series.counter("drafted_tokens", "Tokens guessed ahead.", work.drafted_tokens)
    yield series.counter("accepted_tokens", "Tokens guessed ahead rightly.", work.accepted_tokens)
    yield series.counter("steps", "Batches that were computed.", work.num_steps)
    yield series.counter("step_seconds", "Seconds spent in them.", work.step_seconds)
    yield series.counter("preemptions", "Requests that had to give their slot back for a while.", work.num_preemptions)

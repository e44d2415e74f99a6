"""Traces: what a collector gets to see of requests and answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from webui.core.telemetry.request_record import AnswerRecord, RequestRecord, Route
from webui.core.telemetry.spans import Spans
from webui.core.telemetry.tracing import create_tracing
from webui.types import SamplingParams, Timings, Usage

CLIENTS_SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIMINGS = Timings(queued_seconds=0.5, first_token_seconds=0.75, total_seconds=2.0, tokens_per_second=40.0)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Spans:
    return Spans(SimpleSpanProcessor(exporter))


def answer_at(moment: float, **more: Any) -> AnswerRecord:
    """Asked 0.1 s after `moment`, with a load of 0.4 s, and 2 s in the engine."""
    answer = AnswerRecord(moment + 0.1, "openai", model="tiny", reason="stop", timings=TIMINGS, **more)
    answer.begun_at, answer.first_at, answer.ended_at = moment + 0.5, moment + 1.25, moment + 2.5
    answer.sampling = SamplingParams(temperature=0.2, top_p=0.9, top_k=5, seed=7, max_tokens=100)
    answer.usage = Usage(prompt_tokens=7, cached_tokens=3, completion_tokens=4)
    return answer


def record_of(*answers: AnswerRecord, status: int = 200, **more: Any) -> RequestRecord:
    route = Route("openai", "/v1/chat/completions")
    record = RequestRecord("req_1", "POST", lambda: route, started_at=0.0, status=status, **more)
    record.ended_at = 3.0
    record.answers.extend(answers)
    return record


def named(found: Sequence[ReadableSpan]) -> dict[str, ReadableSpan]:
    return {span.name: span for span in found}


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None and span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_a_request_its_answer_and_where_the_time_went(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.tell_request(record_of(answer_at(0.0), traceparent=CLIENTS_SPAN))
    found = named(exporter.get_finished_spans())
    assert set(found) == {"POST /v1/chat/completions", "chat tiny", "load", "queue", "prefill", "decode"}
    request, answer = found["POST /v1/chat/completions"], found["chat tiny"]
    assert request.kind is SpanKind.SERVER
    assert request.parent is not None and f"{request.parent.span_id:016x}" == "b7ad6b7169203331"
    assert f"{request.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert answer.parent is not None and answer.parent.span_id == request.context.span_id
    took = {name: round(seconds(span), 3) for name, span in found.items()}
    assert took == {
        "POST /v1/chat/completions": 3.0, "chat tiny": 2.4, "load": 0.4, "queue": 0.5, "prefill": 0.25, "decode": 1.25,
    }  # fmt: skip
    for name in ("load", "queue", "prefill", "decode"):
        phase = found[name]
        assert phase.parent is not None and phase.parent.span_id == answer.context.span_id
        assert (answer.start_time or 0) <= (phase.start_time or 0) <= (phase.end_time or 0) <= (answer.end_time or 0)


def test_the_attributes_are_those_of_the_conventions(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.tell_request(record_of(answer_at(0.0)))
    found = named(exporter.get_finished_spans())
    assert dict(found["chat tiny"].attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "glasshouse",
        "gen_ai.request.model": "tiny",
        "gen_ai.response.model": "tiny",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 5,
        "gen_ai.request.presence_penalty": 0.0,
        "gen_ai.request.frequency_penalty": 0.0,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.seed": 7,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 1.15,
    }
    assert dict(found["POST /v1/chat/completions"].attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "glasshouse.dialect": "openai",
        "glasshouse.request_id": "req_1",
    }
    assert found["chat tiny"].resource.attributes["service.name"] == "glasshouse"


def test_what_fails_says_with_which_code(spans: Spans, exporter: InMemorySpanExporter) -> None:
    failed = AnswerRecord(0.1, "openai", reason="failed", error="engine_died", ended_at=0.2)
    spans.tell_request(record_of(failed, status=503, error="engine_died"))
    found = named(exporter.get_finished_spans())
    assert set(found) == {"POST /v1/chat/completions", "chat"}
    for span in found.values():
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "engine_died"


def test_a_refusal_is_the_clients_mistake_and_no_error_here(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.tell_request(record_of(status=400, error="invalid_request"))
    [span] = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5000])
def test_a_broken_traceparent_begins_a_trace_of_its_own(
    spans: Spans, exporter: InMemorySpanExporter, header: str
) -> None:
    spans.tell_request(record_of(traceparent=header, tracestate="=;,"))
    [span] = exporter.get_finished_spans()
    assert span.parent is None


def test_an_answer_in_the_page_is_a_trace_of_its_own(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.tell_answer(answer_at(0.0))
    assert named(exporter.get_finished_spans())["chat tiny"].parent is None


def test_what_came_from_the_cache_took_nothing_of_a_model(spans: Spans, exporter: InMemorySpanExporter) -> None:
    spans.tell_request(record_of(answer_at(0.0, cache="hit")))
    found = named(exporter.get_finished_spans())
    assert set(found) == {"POST /v1/chat/completions", "chat tiny", "load"}
    assert (found["chat tiny"].attributes or {})["glasshouse.cache"] == "hit"


def test_probes_and_pages_are_no_traces(spans: Spans, exporter: InMemorySpanExporter) -> None:
    for route in (Route("glasshouse", "/health/live"), Route("glasshouse", "/metrics"), Route("page", "(page)")):
        record = record_of()
        record.find_route = lambda route=route: route  # type: ignore[misc]
        spans.tell_request(record)
    assert exporter.get_finished_spans() == ()


def test_nothing_is_traced_unless_the_environment_names_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert create_tracing() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert create_tracing() is None
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    tracing = create_tracing()
    assert tracing is not None
    tracing.close()


def test_without_the_extra_a_warning_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "webui.core.telemetry.spans", None)
    assert create_tracing() is None
    assert "extra “otel”" in caplog.text

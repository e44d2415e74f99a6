"""Requests and answers as OpenTelemetry's spans, with the names of its conventions for HTTP and generative models.

    POST /v1/chat/completions          the request, below the client's own span when it sent `traceparent`
      chat SmolLM2-135M                an answer: model, sampling, tokens, why it ended
        load · queue · prefill · decode    where its time went, from the engine's own timings

Spans are made when everything is over, so they cost nothing while a model writes. Nothing of what was asked or answered
is in them. It needs the extra `otel`: only `tracing` imports it.
"""

from __future__ import annotations

import threading
import time

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from webui import __version__
from webui.core.telemetry.access_log import QUIET_ROUTES
from webui.core.telemetry.meters import METHODS
from webui.core.telemetry.request_record import AnswerRecord, RequestRecord
from webui.types import SamplingParams

_CLOSE_SECONDS = 3.0  # a collector that does not answer must not keep the server from ending
_LEAST_LOAD_SECONDS = 0.01  # less is no loading, but looking a name up

Attributes = dict[str, AttributeValue]


def create_spans() -> Spans:
    """To the collector that the environment names."""
    return Spans(BatchSpanProcessor(OTLPSpanExporter()))


class Spans:
    """`core.telemetry.tracing.Tracing` over a provider of its own: the process's global one is left alone."""

    def __init__(self, processor: SpanProcessor) -> None:
        own = Resource.create({SERVICE_NAME: "glasshouse", SERVICE_VERSION: __version__})
        resource = own.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("glasshouse", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def tell_request(self, record: RequestRecord) -> None:
        route = record.route
        if route.dialect == "page" or route.template in QUIET_ROUTES:
            return
        clock = _WallClock()
        carrier = {"traceparent": record.traceparent, "tracestate": record.tracestate}
        method = record.method if record.method in METHODS else "_OTHER"
        span = self._tracer.start_span(
            f"{method} {route.template}",
            context=self._propagator.extract(carrier, Context()),
            kind=SpanKind.SERVER,
            attributes=_request_attributes(record, method),
            start_time=clock(record.started_at),
        )
        for answer in record.answers:
            self._tell_answer(answer, trace.set_span_in_context(span, Context()), clock)
        if record.status >= 500:
            span.set_status(Status(StatusCode.ERROR, record.error_code))
        span.end(clock(record.ended_at or time.perf_counter()))

    def tell_answer(self, answer: AnswerRecord) -> None:
        self._tell_answer(answer, Context(), _WallClock())

    def close(self) -> None:
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)

    def _tell_answer(self, answer: AnswerRecord, parent: Context, clock: _WallClock) -> None:
        ended_at = answer.ended_at or time.perf_counter()
        span = self._tracer.start_span(
            f"{answer.operation} {answer.model}".rstrip(),
            context=parent,
            attributes=_answer_attributes(answer),
            start_time=clock(answer.asked_at),
        )
        inside = trace.set_span_in_context(span, Context())
        for name, start, end in _phases(answer):
            phase = self._tracer.start_span(name, context=inside, start_time=clock(min(start, ended_at)))
            phase.end(clock(min(end, ended_at)))
        if answer.reason == "failed":
            span.set_status(Status(StatusCode.ERROR, answer.error))
        span.end(clock(ended_at))


def _phases(answer: AnswerRecord) -> list[tuple[str, float, float]]:
    """Where the time of an answer went: name, beginning, end."""
    begun = answer.begun_at
    if begun is None:
        return []
    phases = []
    if begun - answer.asked_at >= _LEAST_LOAD_SECONDS:
        phases.append(("load", answer.asked_at, begun))
    if (timings := answer.timings) is not None and answer.cache != "hit":
        queued, read = begun + timings.queued_seconds, begun + timings.first_token_seconds
        phases += [
            ("queue", begun, queued),
            ("prefill", queued, read),
            ("decode", read, max(read, begun + timings.total_seconds)),
        ]
    return phases


def _request_attributes(record: RequestRecord, method: str) -> Attributes:
    attributes: Attributes = {
        "http.request.method": method,
        "http.route": record.route.template,
        "http.response.status_code": record.status,
        "glasshouse.dialect": record.route.dialect,
        "glasshouse.request_id": record.id,
    }
    if record.error_code:
        attributes["error.type"] = record.error_code
    return attributes


def _answer_attributes(answer: AnswerRecord) -> Attributes:
    """Names of https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/; those of `glasshouse.` are ours."""
    attributes: Attributes = {"gen_ai.operation.name": answer.operation, "gen_ai.provider.name": "glasshouse"}
    if answer.model:
        attributes["gen_ai.request.model"] = attributes["gen_ai.response.model"] = answer.model
    if answer.sampling is not None:
        attributes |= _sampling_attributes(answer.sampling)
    if answer.usage is not None:
        attributes["gen_ai.usage.input_tokens"] = answer.usage.prompt_tokens
        attributes["gen_ai.usage.cache_read.input_tokens"] = answer.usage.cached_tokens
        attributes["gen_ai.usage.output_tokens"] = answer.usage.completion_tokens
    if answer.usage is not None and answer.operation in {"chat", "text_completion"}:
        attributes["gen_ai.response.finish_reasons"] = (str(answer.reason),)
    if answer.first_at is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = answer.first_at - answer.asked_at
    if answer.cache is not None:
        attributes["glasshouse.cache"] = answer.cache
    if answer.error:
        attributes["error.type"] = answer.error
    return attributes


def _sampling_attributes(sampling: SamplingParams) -> Attributes:
    attributes: Attributes = {
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.top_k": sampling.top_k,
        "gen_ai.request.presence_penalty": sampling.presence_penalty,
        "gen_ai.request.frequency_penalty": sampling.frequency_penalty,
    }
    if sampling.max_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = sampling.max_tokens
    if sampling.seed is not None:
        attributes["gen_ai.request.seed"] = sampling.seed
    return attributes


class _WallClock:
    """Moments of `time.perf_counter` in Unix nanoseconds; one for all spans of a request, so that none juts out."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.perf_counter_ns()

    def __call__(self, moment: float) -> int:
        return self._offset + round(moment * 1e9)

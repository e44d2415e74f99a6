"""Counters and histograms of this server for Prometheus, in a registry of their own.

Labels are what this program knows beforehand (dialects, route templates, codes) and the ids of models; nothing that a
client can make up, so the number of series has a bound. What an engine counts itself is in its own reports.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from webui.core.telemetry.answer_watch import Observing
from webui.core.telemetry.request_record import AnswerRecord, RequestRecord

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
# Seconds. Answers take from a few milliseconds (a list) to minutes (a long one on a small machine).
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_FIRST_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # with loading at the far end
_TOKEN_BUCKETS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)  # 400 to 0.4 a s


class Meters(Collector):
    """A scrape reads it like any collector."""

    def __init__(self) -> None:
        # When each series began would be many series more, and nobody asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry(auto_describe=True)
        self._in_flight = Gauge(
            "glasshouse_http_requests_in_flight", "Requests that are being answered.", registry=self._registry
        )
        self._requests = self._counter(
            "http_requests", "Requests by route and status.", "dialect", "method", "route", "status"
        )
        self._request_seconds = self._histogram(
            "http_request_duration_seconds", "From a request to the end of its answer.", _REQUEST_BUCKETS, "route"
        )
        self._errors = self._counter("errors", "Requests that were answered with an error, by code.", "dialect", "code")
        self._answers = self._counter("answers", "Answers of models by how they ended.", "dialect", "model", "reason")
        self._tokens = self._counter(
            "answer_tokens", "Tokens read (prompt; cached of these) and written.", "dialect", "model", "kind"
        )
        self._first_seconds = self._histogram(
            "time_to_first_token_seconds", "From asking to the first piece of the answer.", _FIRST_BUCKETS, "model"
        )
        self._between_seconds = self._histogram(
            "inter_token_seconds", "Between two pieces of an answer, as its reader gets them.", _TOKEN_BUCKETS, "model"
        )
        self._token_seconds = self._histogram(
            "time_per_output_token_seconds", "Mean time for a token, of each answer.", _TOKEN_BUCKETS, "model"
        )
        self._queue_seconds = self._histogram(
            "queue_seconds", "In the engine's queue, of each answer.", _FIRST_BUCKETS, "model"
        )
        self._prompt_seconds = self._histogram(
            "prompt_seconds", "Reading the prompt, of each answer.", _FIRST_BUCKETS, "model"
        )
        self._cache = self._counter("response_cache", "Questions to the response cache.", "outcome")

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()

    def request_started(self) -> None:
        self._in_flight.inc()

    def request_ended(self, record: RequestRecord) -> None:
        self._in_flight.dec()
        route = record.route
        method = record.method if record.method in METHODS else "other"
        self._requests.labels(route.dialect, method, route.template, str(record.status)).inc()
        self._request_seconds.labels(route.dialect, route.template).observe(record.seconds)
        if record.error_code:
            self._errors.labels(route.dialect, record.error_code).inc()

    def between(self, answer: AnswerRecord) -> Observing:
        """Where the pauses of this answer are counted."""
        return self._between_seconds.labels(answer.dialect, answer.model)

    def answer_ended(self, answer: AnswerRecord) -> None:
        labels = (answer.dialect, answer.model)
        self._answers.labels(*labels, answer.reason).inc()
        if answer.cache is not None:
            self._cache.labels(answer.cache).inc()
        if answer.usage is not None:
            self._tokens.labels(*labels, "prompt").inc(answer.usage.prompt_tokens)
            self._tokens.labels(*labels, "cached").inc(answer.usage.cached_tokens)
            self._tokens.labels(*labels, "completion").inc(answer.usage.completion_tokens)
        if answer.cache == "hit":  # no model worked
            return
        if answer.first_at is not None:
            self._first_seconds.labels(*labels).observe(answer.first_at - answer.asked_at)
        if (timings := answer.timings) is not None:
            self._queue_seconds.labels(*labels).observe(timings.queued_seconds)
            self._prompt_seconds.labels(*labels).observe(max(0.0, timings.first_token_seconds - timings.queued_seconds))
            if timings.tokens_per_second > 0:
                self._token_seconds.labels(*labels).observe(1 / timings.tokens_per_second)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"glasshouse_{name}", documentation, labels, registry=self._registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], label: str) -> Histogram:
        return Histogram(
            f"glasshouse_{name}", documentation, ("dialect", label), registry=self._registry, buckets=buckets
        )

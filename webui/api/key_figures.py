"""Figures of API keys: what each has used in its life. Series carry the key's id, never its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from webui.store.keys import ApiKey, KeyUsage

_FAMILIES: tuple[tuple[str, str, Callable[[KeyUsage], int]], ...] = (
    ("requests", "Requests under an API key that its limits count.", lambda used: used.num_requests),
    ("prompt_tokens", "Tokens of prompts under an API key.", lambda used: used.prompt_tokens),
    ("generated_tokens", "Tokens written under an API key.", lambda used: used.generated_tokens),
)


class KeyFigures(Collector):
    """One snapshot; nothing where there are no keys."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = keys

    def collect(self) -> Iterator[Metric]:
        for name, documentation, value in _FAMILIES if self._keys else ():
            family = CounterMetricFamily(f"glasshouse_key_{name}", documentation, labels=["key"])
            for key in self._keys:
                family.add_metric([key.id], value(key.usage))
            yield family

"""Figures of the house around the engines: which Glasshouse this is, its process, the machine's memory, the response
cache. The names of a process are those that Prometheus' clients share, on every system.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator

import psutil
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webui import __version__
from webui.core.cache_stores import CacheSize
from webui.core.response_cache import ResponseCache
from webui.types import Memory


class HouseFigures(Collector):
    """One snapshot. `cache` is None where there is none."""

    def __init__(self, memory: Memory, cache: ResponseCache | None) -> None:
        self._memory = memory
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        version = GaugeMetricFamily("glasshouse_info", "Which Glasshouse this is.", labels=["version", "python"])
        version.add_metric([__version__, platform.python_version()], 1)
        yield version
        yield from self._of_process()
        yield from self._of_machine()
        size = CacheSize(0, 0) if self._cache is None else self._cache.size
        if size is not None:
            yield _gauge("glasshouse_response_cache_entries", "Answers in the response cache.", size.num_entries)
            yield _gauge("glasshouse_response_cache_bytes", "Memory that they take.", size.num_bytes)

    def _of_process(self) -> Iterator[Metric]:
        process = psutil.Process()
        with process.oneshot():
            times = process.cpu_times()
            yield _gauge(
                "process_start_time_seconds", "When the server started, in Unix seconds.", process.create_time()
            )
            yield _gauge("process_resident_memory_bytes", "Resident memory of the server.", process.memory_info().rss)
        cpu = CounterMetricFamily("process_cpu_seconds", "Processor time of the server.")
        cpu.add_metric([], times.user + times.system)
        yield cpu

    def _of_machine(self) -> Iterator[Metric]:
        memory = self._memory
        yield _gauge("glasshouse_ram_bytes", "Memory of the machine, or of its container.", memory.ram_total)
        yield _gauge("glasshouse_ram_free_bytes", "What of it is free.", memory.ram_free)
        total = GaugeMetricFamily("glasshouse_gpu_bytes", "Memory of a GPU.", labels=["gpu", "name"])
        free = GaugeMetricFamily("glasshouse_gpu_free_bytes", "What of it is free.", labels=["gpu", "name"])
        for number, gpu in enumerate(memory.gpus):
            total.add_metric([str(number), gpu.name], gpu.total_bytes)
            free.add_metric([str(number), gpu.name], gpu.free_bytes)
        yield total
        yield free


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)

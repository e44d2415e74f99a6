"""The load meter: what the status line and the metrics are told, and when."""

from __future__ import annotations

from typing import Any

from webui.engine.load_meter import LoadMeter
from webui.types import EngineLoad, EngineMetrics


def report(meter: LoadMeter, now: float, *, num_running: int = 0) -> EngineLoad | None:
    return meter.report(num_running=num_running, num_waiting=0, kv_used=10, now=now)


def test_a_report_comes_at_most_once_a_second() -> None:
    meter = LoadMeter(100, now=0.0)
    meter.count(5)
    assert report(meter, 0.9, num_running=1) is None
    load = report(meter, 1.0, num_running=1)
    assert load is not None
    assert (load.num_running, load.kv_used, load.kv_total, load.tokens_per_second) == (1, 10, 100, 5.0)


def test_nothing_new_is_not_told_again() -> None:
    meter = LoadMeter(100, now=0.0)
    assert report(meter, 1.0) is not None
    assert report(meter, 2.0) is None


def test_counts_go_on_growing_while_the_speed_is_of_the_last_second() -> None:
    meter = LoadMeter(100, now=0.0)
    for now in (1.0, 2.0):
        meter.count(30)
        meter.count_step(0.25, num_drafted=4, num_accepted=3)
        meter.count_end("stop")
        load = report(meter, now)
    meter.count_end("refused")
    load = report(meter, 4.0)
    assert load is not None
    assert load.tokens_per_second == 0
    assert load.metrics == EngineMetrics(
        num_finished={"stop": 2, "refused": 1},
        generated_tokens=60,
        drafted_tokens=8,
        accepted_tokens=6,
        num_steps=2,
        step_seconds=0.5,
    )


def test_a_model_that_only_reads_has_a_speed_and_writes_nothing() -> None:
    meter = LoadMeter(100, now=0.0)
    meter.count_read(500)
    load = report(meter, 1.0)
    assert load is not None
    assert (load.tokens_per_second, load.metrics.prompt_tokens, load.metrics.generated_tokens) == (500, 500, 0)


def test_what_others_count_is_passed_on() -> None:
    now: dict[str, Any] = {
        "num_running": 1,
        "num_waiting": 2,
        "kv_used": 50,
        "kv_total": 90,
        "slots_used": 3,
        "parked_bytes": 4,
        "disk_bytes": 5,
    }
    ever: dict[str, Any] = {"prompt_tokens": 60, "cached_tokens": {"slot": 40}, "num_preemptions": 7}
    load = LoadMeter(100, now=0.0).report(**now, **ever, now=1.0)
    assert load == EngineLoad(**now, metrics=EngineMetrics(**ever))


def test_an_idle_engine_has_something_left_to_say_until_it_has_said_it() -> None:
    meter = LoadMeter(100, now=0.0)
    assert meter.is_settled(0, 0)
    meter.count_end("refused")
    assert not meter.is_settled(0, 0)
    report(meter, 1.0)
    assert meter.is_settled(0, 0)
    meter.count(9)
    report(meter, 2.0)
    assert not meter.is_settled(0, 0), "nine tokens a second are no longer true"
    report(meter, 3.0)
    assert meter.is_settled(0, 0)
    assert not meter.is_settled(1, 0)

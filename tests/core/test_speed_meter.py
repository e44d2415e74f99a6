"""How fast something moves, told from positions at given times."""

from __future__ import annotations

import pytest

from webui.core.speed_meter import SpeedMeter


def test_the_speed_is_that_of_the_last_seconds() -> None:
    meter = SpeedMeter()
    assert (meter.bytes_per_second, meter.seconds_left(100)) == (0.0, None)
    for second in range(20):
        meter.add(float(second), second * 10)
    assert meter.bytes_per_second == pytest.approx(10)
    for second in range(20, 40):
        meter.add(float(second), 190 + (second - 19) * 50)
    assert meter.bytes_per_second == pytest.approx(50)
    assert meter.seconds_left(500) == pytest.approx(10)


def test_a_line_that_stands_still_has_no_speed() -> None:
    meter = SpeedMeter()
    for second in range(20):
        meter.add(float(second), 1000)
    assert (meter.bytes_per_second, meter.seconds_left(1)) == (0.0, None)
    meter.reset()
    meter.add(0.0, 5)
    assert meter.bytes_per_second == 0.0

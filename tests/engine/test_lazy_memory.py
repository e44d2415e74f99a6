"""Unused memory is given back in a process like the engine's, where Python's own objects are out of the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.engine.lazy_memory_checks import MEGABYTE, zeros
from webui.core.engine_client import ENGINE_ENVIRONMENT
from webui.engine.lazy_memory import LEAST_BYTES, returning_untouched_pages

CHECKS = Path(__file__).with_name("lazy_memory_checks.py")


def test_the_checks_pass_in_a_process_like_the_engines() -> None:
    environment = {**os.environ, **ENGINE_ENVIRONMENT}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CHECKS)]
    checks = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert checks.returncode == 0, checks.stdout[-3000:]


def test_where_pythons_objects_lie_among_the_pages_nothing_is_dropped() -> None:
    assert os.environ.get("PYTHONMALLOC") != "malloc"
    before = psutil.Process().memory_info().rss
    with returning_untouched_pages():
        memory = zeros(LEAST_BYTES)
    assert psutil.Process().memory_info().rss - before > 100 * MEGABYTE
    assert memory[:4] == bytes(4)

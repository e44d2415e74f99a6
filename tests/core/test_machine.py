"""GPUs that NVML does not know, told by a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from webui.core.machine import Machine
from webui.types import Gpu, Memory

NO_GPU = Memory(ram_total=16, ram_free=8)


def machine(script: str, *, memory: Memory = NO_GPU, has_backend: bool = True) -> Machine:
    return Machine(command=(sys.executable, "-c", script), memory=lambda: memory, has_backend=lambda: has_backend)


TELLS = 'print(\'[{"name": "Radeon", "total_bytes": 8, "free_bytes": 6}]\')'


def test_the_child_tells_what_nvml_does_not() -> None:
    found = machine(TELLS)
    assert found.memory().gpus == (), "nobody waits for a child just to look"
    assert found.measure().gpus == (Gpu(name="Radeon", total_bytes=8, free_bytes=6),)
    assert found.memory().gpus == found.measure().gpus


def test_a_list_of_many_models_asks_once(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    found = machine(f"open({str(asked)!r}, 'a').write('x'); {TELLS}")
    for _ in range(3):
        assert len(found.measure().gpus) == 1
    assert asked.read_text() == "x"


def test_a_child_that_dies_or_babbles_means_no_gpu() -> None:
    for script in ("import os; os.abort()", "print('what?')", "print('[{\"name\": 5}]')"):
        assert machine(script).measure() == NO_GPU


def test_nobody_is_asked_where_there_is_nothing_to_learn() -> None:
    card = Memory(ram_total=16, ram_free=8, gpus=(Gpu(name="RTX", total_bytes=8, free_bytes=6),))
    assert machine("raise SystemExit(1)", memory=card).measure() == card
    assert machine(TELLS, has_backend=False).measure() == NO_GPU


def test_the_engines_library_lists_its_own_devices() -> None:
    """A library for the processor alone has no GPU to tell of; it says so in one line."""
    done = subprocess.run((sys.executable, "-m", "webui.engine.devices"), capture_output=True, check=True)
    assert isinstance(json.loads(done.stdout), list)

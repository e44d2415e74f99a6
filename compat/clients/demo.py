"""What the demos of all Python clients share: where the server is, what is asked of it, and how a check is told.

    demo = Demo("openai")

    @demo.check("chat")
    def chat() -> None:
        ...

    demo.run()

The standard library alone: it runs in each client's own environment, beside the client, and never touches it.
"""

from __future__ import annotations

import json
import os
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

URL = os.environ["COMPAT_URL"]  #: the server on loopback, which asks for no key
LOCKED_URL = os.environ["COMPAT_LOCKED_URL"]  #: another one, which does
KEY = os.environ["COMPAT_KEY"]
MODEL = os.environ["COMPAT_MODEL"]
EMBEDDING_MODEL = os.environ["COMPAT_EMBEDDING_MODEL"]

QUESTION = "Name three birds."
STORY = "Tell a very long story about a lighthouse."
TOO_LONG = "word " * 40_000
NO_MODEL = "no-such-model"
NUM_SCHEMA_RUNS = 5
FREE_SECONDS = 0.5  #: from the hang-up to a free slot, on a machine that does other things, too

WEATHER_QUESTION = "What is the weather in Oslo?"
WEATHER = "get_weather"
WEATHER_ABOUT = "Tells the weather in a city"
WEATHER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 30}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER_RESULT = "Sunny, 21 degrees."
#: Cities and what was told of them. The small model calls a tool by itself once it has seen three calls.
WEATHER_BEFORE = {"Rome": "Sunny, 21 degrees.", "Lima": "Cloudy, 17 degrees.", "Cairo": "Hot, 35 degrees."}

BIRD_QUESTION = "Describe a bird as JSON."
BIRD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "can_fly": {"type": "boolean"},
        "legs": {"type": "integer", "minimum": 0, "maximum": 2},
    },
    "required": ["name", "can_fly", "legs"],
    "additionalProperties": False,
}


class NotThere(Exception):
    """The client has nothing for this; the message says what is missing."""


class Demo:
    """The checks of one client, run one after the other. `packages`: whose versions are told."""

    def __init__(self, *packages: str) -> None:
        self._packages = packages
        self._checks: dict[str, Callable[[], str | None]] = {}

    def check(self, name: str) -> Callable[[Callable[[], str | None]], Callable[[], str | None]]:
        """What it returns is told beside the tick."""

        def add(function: Callable[[], str | None]) -> Callable[[], str | None]:
            self._checks[name] = function
            return function

        return add

    def run(self) -> None:
        results = {name: _outcome(function) for name, function in self._checks.items()}
        versions = {package: version(package) for package in self._packages}
        Path(os.environ["COMPAT_RESULT"]).write_text(json.dumps({"versions": versions, "checks": results}))


def _outcome(function: Callable[[], str | None]) -> dict[str, str]:
    try:
        note = function()
    except NotThere as nothing:
        return {"outcome": "absent", "note": str(nothing)}
    except Exception as error:  # noqa: BLE001 - whatever the client raises is the result
        traceback.print_exc()
        return {"outcome": "failed", "note": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    return {"outcome": "passed", "note": note or ""}


@contextmanager
def expect(error: type[Exception], *said: str) -> Iterator[None]:
    """The client raises this class of its own, and its words hold each of these."""
    try:
        yield
    except error as raised:
        told = f"{raised} {getattr(raised, 'code', '')}"
        missing = [text for text in said if text not in told]
        assert not missing, f"{type(raised).__name__} does not say {missing}: {raised}"
    else:
        raise AssertionError(f"{error.__name__} was not raised")


def check_bird(bird: dict[str, Any], *, with_limits: bool = True) -> None:
    """A bird as the schema has it. Some clients take lengths and ranges out of the schema that they send."""
    assert set(bird) == {"name", "can_fly", "legs"}, bird
    assert (type(bird["name"]), type(bird["can_fly"]), type(bird["legs"])) == (str, bool, int), bird
    if with_limits:
        assert len(bird["name"]) <= 20 and 0 <= bird["legs"] <= 2, bird


def check_weather_call(name: str, arguments: Any) -> None:
    arguments = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
    assert name == WEATHER, name
    assert set(arguments) == {"city"} and isinstance(arguments["city"], str), arguments


def check_vectors(vectors: list[list[float]]) -> None:
    """Two different texts: two vectors of length 1 that are not the same."""
    assert len(vectors) == 2 and vectors[0] != vectors[1]
    for vector in vectors:
        assert abs(sum(number * number for number in vector) - 1) < 1e-3, vector[:4]


def wait_for_free_slot() -> str:
    """Called right after a client hung up in mid-stream: the server answers nobody any more."""
    begun = time.monotonic()
    while _num_running():
        assert time.monotonic() - begun < 5, "the answer goes on after the client has gone"
        time.sleep(0.002)
    seconds = time.monotonic() - begun
    assert seconds < FREE_SECONDS, f"the slot was free only after {seconds:.2f} s"
    return f"free after {seconds * 1000:.0f} ms"


def check_busy() -> None:
    assert _num_running() == 1, "the answer ended before the client hung up"


def _num_running() -> int:
    """Asks the engine itself, between two of its steps; `/status` is up to a second old."""
    with urllib.request.urlopen(f"{URL}/slots", timeout=5) as response:
        return sum(slot["is_processing"] for slot in json.load(response))

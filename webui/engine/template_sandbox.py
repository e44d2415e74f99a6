"""Runs a chat template that came with a file from the internet.

Jinja's own immutable sandbox keeps it from attributes and side effects; here it is also kept from running for ever and
from building giants: its time and its output are bounded, repetition and powers are checked before they are computed.
What hides inside one call into C, where Python cannot look at the clock, the kernel ends: it gives no more than so much
memory, and after some seconds of computing it ends this process alone, never the page. It does not know messages or
models.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from webui.errors import TemplateFailed

MAX_SECONDS = 2.0
MAX_CPU_SECONDS = 10.0  #: the kernel's limit, for what MAX_SECONDS cannot interrupt
MAX_CHARACTERS = 64 * 1024 * 1024
MAX_MORE_BYTES = 1024 * 1024 * 1024
_LINES_PER_LOOK = 1000  #: traced lines between two looks at the clock


class TemplateOverrun(TemplateFailed):
    """The template took too much time or space; another try would, too."""


class _TimeIsUp(BaseException):
    """Not an Exception, so that nothing inside Jinja swallows it on the way out."""


class _GenerationTag(Extension):
    """Lets `{% generation %}` blocks through, which only mark text for training."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own shape

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja with the arithmetic that can explode checked first."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        is_number = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" and not (is_number and abs(left) <= 2**32 and abs(right) <= 64):
            raise TemplateFailed("it computes with numbers that are too large.")
        if operator == "*" and not is_number and _size(left) * _size(right) > MAX_CHARACTERS:
            raise TemplateFailed("it repeats text too often.")
        if operator == "%" and isinstance(left, str) and re.search(r"\*|\d{4}", left):
            raise TemplateFailed("it pads text too far.")
        return super().call_binop(context, operator, left, right)


def _size(value: Any) -> float:
    return len(value) if hasattr(value, "__len__") else abs(value)


def _raise_exception(message: str) -> None:
    raise TemplateFailed(str(message))


def _to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
    """JSON as Transformers writes it: not escaped for HTML. What `map` and `select` give is a list."""
    value = list(value) if isinstance(value, Iterator) else value
    return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, **options)


class Template:
    """One compiled chat template. Creating it raises TemplateFailed when the source does not compile."""

    def __init__(self, source: str) -> None:
        environment = _Environment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag], autoescape=False
        )  # the settings of Transformers, against which every template is written
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            with _memory_limit(), _time_limit():
                self._template = environment.from_string(source)
        except MemoryError:
            raise TemplateOverrun("it takes too much memory to compile.") from None
        except (jinja2.TemplateError, RecursionError, SyntaxError, ValueError) as error:
            raise TemplateFailed(f"it does not compile ({error}).") from error
        except _TimeIsUp:
            raise TemplateOverrun("it takes too long to compile.") from None

    def render(self, **values: object) -> str:
        """The text; TemplateFailed with the template's own reason, or ours when it takes too much."""
        pieces: list[str] = []
        size = 0
        try:
            with _memory_limit(), _time_limit():
                for piece in self._template.generate(**values):
                    size += len(piece)
                    if size > MAX_CHARACTERS:
                        raise TemplateOverrun("it produces too much text.")
                    pieces.append(piece)
        except _TimeIsUp:
            raise TemplateOverrun(f"it runs longer than {MAX_SECONDS:g} seconds.") from None
        except MemoryError:
            raise TemplateOverrun("it takes too much memory.") from None
        except TemplateFailed:
            raise
        except Exception as error:  # a template can raise anything: this is the edge of foreign code
            raise TemplateFailed(f"{error}" or type(error).__name__) from error
        return "".join(pieces)


@contextmanager
def _time_limit() -> Iterator[None]:
    """Interrupt Python code that runs longer than MAX_SECONDS, by a look at the clock every so many lines of it.

    A signal would do only in the main thread and only on POSIX; tracing works everywhere, and a template is small.
    """
    deadline = time.monotonic() + MAX_SECONDS
    lines_left = _LINES_PER_LOOK

    def trace(_frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal lines_left
        lines_left -= 1
        if lines_left <= 0:
            lines_left = _LINES_PER_LOOK
            if time.monotonic() > deadline:
                raise _TimeIsUp
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    _set_cpu_alarm(MAX_CPU_SECONDS)
    try:
        yield
    finally:
        _set_cpu_alarm(0)
        sys.settrace(previous)


def _set_cpu_alarm(seconds: float) -> None:
    """After so much computing the kernel ends this process with SIGVTALRM; 0 takes that back. Not on Windows."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)


@contextmanager
def _memory_limit() -> Iterator[None]:
    """Allow this process MAX_MORE_BYTES more than it has, so that a giant is a MemoryError. Only Linux keeps to it.

    Nothing else allocates meanwhile: a template runs between two steps of the model.
    """
    if sys.platform != "linux":
        yield
        return
    import resource  # noqa: PLC0415 - not on every system

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    num_pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    limit = num_pages * resource.getpagesize() + MAX_MORE_BYTES
    known = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([limit, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

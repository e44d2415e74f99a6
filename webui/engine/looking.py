"""Looks at images beside the loop: a request whose images nobody has seen yet waits here, not in a step.

To encode an image may take as long as hundreds of steps, and others are writing meanwhile. So a thread of lower
priority makes what stands for it, and the loop takes the request when that is kept. What is wrong with an image the
loop finds out itself, by looking at it again. It does not know what a look is.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from webui.engine.protocol import CountPrompt, Generate, Prefill, Probe, ShowPrompt
from webui.engine.runner import Vision
from webui.engine.vision import MAX_IMAGES, images_of
from webui.errors import GlasshouseError
from webui.types import GenerationRequest, Image

logger = logging.getLogger(__name__)

MAX_WAITING = 16  #: requests whose images are looked at, or wait for it
_NICENESS = 10

Looked = Generate | Prefill | Probe


@dataclass(slots=True, eq=False)
class Glance:
    """A request and what of it must be looked at first."""

    command: Looked
    images: list[Image]  #: still to be looked at, at least one in the beginning
    arrived_at: float
    num_tokens: int = 0  #: that stand for those that were
    kept: list[object] = field(default_factory=list)  #: what was made of them, until the request has ended
    is_paused: bool = False
    is_cancelled: bool = False


class Looking:
    """One thread, begun when the first image comes. Every method but `_look` belongs to the loop's thread."""

    def __init__(self, vision: Vision, max_tokens: int) -> None:
        """No more is looked at for a request than would fill `max_tokens` of context."""
        self._vision = vision
        self._max_tokens = max_tokens
        self._waiting: dict[int, Glance] = {}
        self._asked: queue.SimpleQueue[Glance] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Glance] = queue.SimpleQueue()
        self._something_done = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING

    def unseen(self, command: Looked) -> list[Image]:
        """Images of the command that would have to be looked at first."""
        request = request_of(command)
        if request is None:
            return []
        images = images_of(request)
        if len(images) > MAX_IMAGES:  # that will be refused
            return []
        return [image for image in images if self._vision.known_count(image) is None]

    def start(self, command: Looked, images: list[Image], arrived_at: float) -> None:
        glance = Glance(command, images, arrived_at)
        self._waiting[command.request_id] = glance
        self._asked.put(glance)
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="images", daemon=True)
            self._thread.start()

    def find(self, request_id: int) -> Glance | None:
        return self._waiting.get(request_id)

    def drop(self, request_id: int) -> None:
        """Nobody waits for it any more."""
        if (glance := self._waiting.pop(request_id, None)) is not None:
            glance.is_cancelled = True

    def wait(self, seconds: float) -> None:
        """Until something is done, or so long."""
        self._something_done.wait(seconds)

    def take_done(self) -> Iterator[Glance]:
        """Requests whose images have been looked at."""
        self._something_done.clear()
        with suppress(queue.Empty):
            while True:
                glance = self._done.get_nowait()
                if self._waiting.pop(glance.command.request_id, None) is glance:
                    yield glance

    def _look(self) -> None:
        if sys.platform == "linux":  # there a thread has a niceness of its own; those who compute for it inherit it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            glance = self._asked.get()
            if self._look_at_one(glance):
                self._asked.put(glance)  # one image each in turn: who has many does not hold up who has one
            else:
                self._done.put(glance)
                self._something_done.set()

    def _look_at_one(self, glance: Glance) -> bool:
        """The newest first: what is too much, the oldest, may be left out. Returns whether there is more to look at."""
        if glance.is_cancelled:
            return False
        image = glance.images.pop()
        try:
            self._vision.look(image)
        except GlasshouseError:
            return False  # the loop will hear of it, too
        except Exception:  # a strange image must not end the thread
            logger.exception("An image could not be looked at")
            return False
        glance.kept.append(self._vision.keep(image))
        glance.num_tokens += self._vision.known_count(image) or 0
        return bool(glance.images) and glance.num_tokens <= self._max_tokens


def request_of(command: Looked) -> GenerationRequest | None:
    """What is to be read for a command; None: nothing."""
    if not isinstance(command, Probe):
        return command.request
    return command.asked.request if isinstance(command.asked, CountPrompt | ShowPrompt) else None

"""One request of a batch on its way to an answer: what passes is waited for, a dead engine gets another chance.

It knows no endpoint and no status code: that is for whoever answers.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from webui.errors import EngineBusy, EngineDied, EngineStopped, GlasshouseError, LoadOvertaken
from webui.store.batches import Batch

DEATHS = 3  #: of the engine that one request may cost
RETRY_SECONDS = 20.0  #: after something that passes: a full disk, a model that a person unloaded
DEATH_SECONDS = 2.0  #: after an engine died; the next request starts it again
_UNEXPECTED = "Something went wrong inside Glasshouse. The server's log says what; the request can be tried again."

_log = logging.getLogger(__name__)

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one request, as its endpoint would have given it: a status code and a JSON object."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Answerer(Protocol):
    """Whoever knows the endpoints."""

    async def answer(self, endpoint: str, body: bytes, owner: str) -> Answered:
        """Raises GlasshouseError."""

    def refuse(self, endpoint: str, error: GlasshouseError) -> Answered: ...


async def ask(answerer: Answerer, batch: Batch, body: bytes, pause: Pause) -> Answered:
    """The answer, or why there is none."""
    num_deaths = 0
    for waited in itertools.count(1):
        seconds = RETRY_SECONDS
        try:
            return await answerer.answer(batch.endpoint, body, batch.owner)
        except (EngineBusy, EngineStopped, LoadOvertaken) as error:
            _log.debug("A request of the batch %s waits (%s) for the %d. time", batch.id, error.code, waited)
        except EngineDied as error:
            num_deaths, seconds = num_deaths + 1, DEATH_SECONDS
            if num_deaths == DEATHS:
                return answerer.refuse(batch.endpoint, error)
        except GlasshouseError as error:
            return answerer.refuse(batch.endpoint, error)
        except Exception:  # noqa: BLE001 - the edge of a request: the others must go on
            _log.exception("A request of the batch %s failed", batch.id)
            return answerer.refuse(batch.endpoint, GlasshouseError(_UNEXPECTED))
        await pause(seconds)
    raise AssertionError("counting does not end")

"""The doctor over HTTP: examine a model and watch, read what was found, forget it.

The stream of an examination belongs to its connection: a client that goes away ends it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from webui.api.dependencies import App
from webui.api.errors import ServerStopping, describe
from webui.api.sse import DONE, EventStream, frame
from webui.core.doctor.limits import DoctorLimits
from webui.errors import GlasshouseError
from webui.types import DoctorEvent

PREFIX = "/manage/doctor"

router = APIRouter(prefix="/manage", tags=["Doctor"])

_Name = Annotated[str, Path(min_length=1, max_length=500, description="The model: an id, file name or title")]


class ExaminationBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    unload: bool = Field(default=False, description="Unload the models in memory when there is no room beside them")
    seconds: float = Field(
        default=60.0, ge=1, le=3600, description="How long it may take, loading and waiting not counted"
    )
    trials: bool = Field(default=True, description="Also try settings, and use what is better from then on")


@router.post(
    "/doctor/{model}",
    summary="Examine a model",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def examine(model: _Name, request: Request, application: App, body: ExaminationBody | None = None) -> Response:
    """A stream of events: `DoctorStarted`, `DoctorProgress`, `DoctorChecked`, at the end `DoctorDone` with the report.

    Nothing is measured while somebody is answered: it waits, and says so.
    """
    asked = body or ExaminationBody()
    limits = DoctorLimits(seconds=asked.seconds, has_trials=asked.trials)
    events = application.doctor.run(model, unload=asked.unload, limits=limits)
    first = await anext(events)  # what is refused is a status code, not a broken stream
    farewell = frame(describe(ServerStopping(), PREFIX))
    return EventStream(_frames(first, events), request.app.state.stopping, farewell)


@router.get("/doctor/{model}", summary="What the doctor found")
async def get_report(model: _Name, application: App) -> dict[str, Any]:
    """The last report. `is_current` is false when the file, the machine or the library is another one now."""
    return _plain(await application.doctor.current_report(model))


@router.delete("/doctor/{model}", status_code=204, summary="Forget what the doctor found")
async def forget_report(model: _Name, application: App) -> None:
    """Also the settings that it recommended."""
    await application.doctor.forget(model)


async def _frames(first: DoctorEvent, events: AsyncGenerator[DoctorEvent, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        yield frame(_plain(first))
        try:
            async for event in events:
                yield frame(_plain(event))
        except GlasshouseError as error:
            yield frame(describe(error, PREFIX))
    yield DONE


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain

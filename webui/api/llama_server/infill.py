"""`POST /infill` of llama.cpp's server: what belongs between two texts, for editors that complete code.

The model must have been made for it; its own vocabulary says so.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from webui.api.dependencies import App, Owner
from webui.api.llama_server.completion import WITHOUT_EFFECT, Continuation, go_on
from webui.types import Gap, GenerationRequest, OtherFile

MAX_OTHERS = 256

router = APIRouter()


class ExtraFile(BaseModel):
    filename: str = Field("tmp", max_length=1000)
    text: str = ""


class InfillBody(Continuation):
    # What editors always send: hints on time and taste, which change nothing here.
    without_effect: ClassVar[frozenset[str]] = WITHOUT_EFFECT | {
        "samplers", "n_indent", "t_max_prompt_ms", "response_fields", "n_cache_reuse",
    }  # fmt: skip

    input_prefix: str = Field(description="What stands before the gap")
    input_suffix: str = Field(description="What stands behind it")
    input_extra: Annotated[list[ExtraFile], Field(max_length=MAX_OTHERS)] = Field(
        [], description="Other files; the first are left out where the context is too small, and `truncated` says so"
    )
    prompt: str = Field("", description="What the gap begins with already")

    def asked(self) -> GenerationRequest:
        others = tuple(OtherFile(name=each.filename, text=each.text) for each in self.input_extra)
        gap = Gap(prefix=self.input_prefix + self.prompt, suffix=self.input_suffix, others=others)
        return GenerationRequest(messages=(), gap=gap)


@router.post("/infill", summary="Fill in between two texts", response_class=JSONResponse)
async def fill_in(body: InfillBody, request: Request, application: App, owner: Owner) -> Response:
    """The answer is that of `/completion`. `samplers`, `n_indent` and limits of time have no effect."""
    return await go_on(body, request, application, owner)

"""`POST /tokenize`, `/detokenize` and `/apply-template`: what the model's own vocabulary and template make of texts."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from pydantic import Field

from webui.api.dependencies import App, get_stopping
from webui.api.hangup import run_while_connected
from webui.api.llama_server.completion import NamedModel, TokenId
from webui.engine.protocol import Detokenize, Detokenized, Render, Rendered, Tokenize, Tokenized
from webui.errors import TemplateFailed

MAX_TEXT = 4_000_000  # characters to tokenize; the engine does nothing else meanwhile

router = APIRouter()


class TokenizeBody(NamedModel):
    content: Annotated[str, Field(max_length=MAX_TEXT)]
    add_special: bool = Field(False, description="The token that begins a prompt, too")
    with_pieces: bool = Field(False, description="Each token with its text")


class DetokenizeBody(NamedModel):
    tokens: list[TokenId]


class TemplateBody(NamedModel):
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    add_generation_prompt: bool = True


@router.post("/tokenize", summary="Text to tokens")
async def tokenize(body: TokenizeBody, request: Request, application: App) -> dict[str, Any]:
    models = application.models
    asked = Tokenize(texts=(body.content,), adds_bos=body.add_special)
    found = cast(
        "Tokenized",
        await run_while_connected(request.receive, get_stopping(request), models.probe(asked, model=body.model_name)),
    )
    tokens = found.texts[0].tokens
    if not body.with_pieces:
        return {"tokens": tokens}
    said = cast("Detokenized", await models.probe(Detokenize(tokens=tokens), model=body.model_name))
    return {"tokens": [{"id": each, "piece": _piece(text)} for each, text in zip(tokens, said.pieces, strict=True)]}


@router.post("/detokenize", summary="Tokens to text")
async def detokenize(body: DetokenizeBody, request: Request, application: App) -> dict[str, str]:
    work = application.models.probe(Detokenize(tokens=tuple(body.tokens)), model=body.model_name)
    found = cast("Detokenized", await run_while_connected(request.receive, get_stopping(request), work))
    return {"content": b"".join(found.pieces).decode("utf-8", "replace")}


@router.post("/apply-template", summary="What the chat template makes of messages")
async def apply_template(body: TemplateBody, request: Request, application: App) -> dict[str, str]:
    """As the model's own template writes it; an answer may take another shape where the template refuses one."""
    asked = Render(
        messages=json.dumps(body.messages),
        tools=json.dumps(body.tools) if body.tools else "",
        add_generation_prompt=body.add_generation_prompt,
    )
    work = application.models.probe(asked, model=body.model_name)
    found = cast("Rendered", await run_while_connected(request.receive, get_stopping(request), work))
    if found.text is None:
        raise TemplateFailed(found.refusal)
    return {"prompt": found.text}


def _piece(text: bytes) -> str | list[int]:
    """Bytes where a character is spread over several tokens."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return list(text)

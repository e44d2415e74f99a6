"""OpenAI's routes without `/v1`, as llama.cpp's server also has them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from webui.api.openai.chat import create_chat_completion
from webui.api.openai.completions import create_completion
from webui.api.openai.embeddings import create_embeddings, rerank
from webui.api.openai.responses.routes import count_chat_tokens, count_input_tokens, create_response

router = APIRouter()

router.post("/chat/completions", summary="As /v1/chat/completions", response_class=JSONResponse)(create_chat_completion)
router.post("/completions", summary="As /v1/completions", response_class=JSONResponse)(create_completion)
router.post("/embeddings", summary="As /v1/embeddings", response_class=Response)(create_embeddings)
router.post("/responses", summary="As /v1/responses", response_class=JSONResponse)(create_response)
router.post("/responses/input_tokens", summary="As /v1/responses/input_tokens")(count_input_tokens)
router.post("/chat/completions/input_tokens", summary="As /v1/chat/completions/input_tokens")(count_chat_tokens)
for _path in ("/rerank", "/reranking", "/v1/reranking"):
    router.post(_path, summary="As /v1/rerank", response_class=Response)(rerank)

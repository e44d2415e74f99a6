"""OpenAI's routes without `/v1`, as llama.cpp's server also has them."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from webui.api.openai.chat import create_chat_completion
from webui.api.openai.completions import create_completion
from webui.api.openai.embeddings import create_embeddings, rerank

router = APIRouter()

router.post("/chat/completions", summary="As /v1/chat/completions", response_class=JSONResponse)(create_chat_completion)
router.post("/completions", summary="As /v1/completions", response_class=JSONResponse)(create_completion)
router.post("/embeddings", summary="As /v1/embeddings", response_class=Response)(create_embeddings)
for _path in ("/rerank", "/reranking", "/v1/reranking"):
    router.post(_path, summary="As /v1/rerank", response_class=Response)(rerank)

"""How answers look that the dialects write as they go, for the API's description: FastAPI cannot read that off routes.

Only what programs count on is told; there may be more in each object. The tests hold the answers against it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
YES_OR_NO: Schema = {"type": "boolean"}
ANYTHING: Schema = {}


def thing(optional: Schema | None = None, **properties: Schema) -> Schema:
    """An object with these properties, and perhaps with the optional ones."""
    return {"type": "object", "properties": properties | (optional or {}), "required": list(properties)}


def many(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def one_of(*values: str | None) -> Schema:
    return {"enum": list(values)}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


# --- OpenAI --------------------------------------------------------------------------------------------------------

_USAGE = thing(prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT)
_CALL = thing(id=TEXT, type=one_of("function"), function=thing(name=TEXT, arguments=TEXT))
_MESSAGE = thing({"tool_calls": many(_CALL), "reasoning_content": TEXT}, role=one_of("assistant"), content=maybe(TEXT))
_HEAD = {"id": TEXT, "created": COUNT, "model": TEXT}
_END = one_of("stop", "length", "tool_calls", "function_call")
CHAT_COMPLETION = thing(
    **_HEAD,
    object=one_of("chat.completion"),
    choices=many(thing(index=COUNT, message=_MESSAGE, finish_reason=_END, logprobs=ANYTHING)),
    usage=_USAGE,
)
TEXT_COMPLETION = thing(
    **_HEAD,
    object=one_of("text_completion"),
    choices=many(thing(index=COUNT, text=TEXT, finish_reason=_END, logprobs=ANYTHING)),
    usage=_USAGE,
)
_VECTOR = {"anyOf": [many(NUMBER), {"type": "string", "description": "base64, if that was asked for"}]}
EMBEDDING_LIST = thing(
    object=one_of("list"),
    model=TEXT,
    data=many(thing(object=one_of("embedding"), index=COUNT, embedding=_VECTOR)),
    usage=thing(prompt_tokens=COUNT, total_tokens=COUNT),
)
RANKING = thing(model=TEXT, results=many(thing(index=COUNT, relevance_score=NUMBER)))

# --- Anthropic -----------------------------------------------------------------------------------------------------

MESSAGE = thing(
    id=TEXT,
    type=one_of("message"),
    role=one_of("assistant"),
    model=TEXT,
    content=many(thing(type=one_of("text", "thinking", "tool_use"))),
    stop_reason=one_of("end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"),
    stop_sequence=maybe(TEXT),
    usage=thing(input_tokens=COUNT, output_tokens=COUNT, cache_read_input_tokens=COUNT),
)
TOKEN_COUNT = thing(input_tokens=COUNT)

# --- Ollama --------------------------------------------------------------------------------------------------------

_FIGURES = {
    "total_duration": {**COUNT, "description": "Nanoseconds, as the others"},
    "load_duration": COUNT,
    "prompt_eval_count": COUNT,
    "prompt_eval_duration": COUNT,
    "eval_count": COUNT,
    "eval_duration": COUNT,
    "thinking": TEXT,
}
_RECORD = {"model": TEXT, "created_at": TEXT, "done": YES_OR_NO}
_DETAILS = thing(format=TEXT, family=TEXT, parameter_size=TEXT, quantization_level=TEXT)
_LISTED = {"name": TEXT, "model": TEXT, "size": COUNT, "digest": TEXT, "details": _DETAILS}
OLLAMA_CHAT = thing(_FIGURES, **_RECORD, message=thing(role=one_of("assistant"), content=TEXT))
OLLAMA_GENERATION = thing(_FIGURES, **_RECORD, response=TEXT)
OLLAMA_VECTORS = thing(model=TEXT, embeddings=many(many(NUMBER)))
OLLAMA_VECTOR = thing(embedding=many(NUMBER))
OLLAMA_MODELS = thing(models=many(thing(**_LISTED, modified_at=TEXT)))
OLLAMA_LOADED = thing(models=many(thing(**_LISTED, expires_at=TEXT, size_vram=COUNT, context_length=COUNT)))
OLLAMA_SHOWN = thing(
    details=_DETAILS, model_info={"type": "object"}, capabilities=many(TEXT), template=TEXT, parameters=TEXT
)
OLLAMA_STATUS = thing(status=one_of("success"))

# --- llama.cpp -----------------------------------------------------------------------------------------------------

COMPLETION = thing(
    content=TEXT,
    stop=YES_OR_NO,
    stop_type=one_of("eos", "limit", "word"),
    tokens_predicted=COUNT,
    tokens_evaluated=COUNT,
    timings={"type": "object"},
)

ANSWERS: dict[str, Schema] = {
    "/v1/chat/completions": CHAT_COMPLETION,
    "/chat/completions": CHAT_COMPLETION,
    "/api/v0/chat/completions": CHAT_COMPLETION,
    "/v1/completions": TEXT_COMPLETION,
    "/completions": TEXT_COMPLETION,
    "/api/v0/completions": TEXT_COMPLETION,
    "/v1/embeddings": EMBEDDING_LIST,
    "/api/v0/embeddings": EMBEDDING_LIST,
    "/v1/rerank": RANKING,
    "/rerank": RANKING,
    "/reranking": RANKING,
    "/v1/reranking": RANKING,
    "/v1/messages": MESSAGE,
    "/v1/messages/count_tokens": TOKEN_COUNT,
    "/api/chat": OLLAMA_CHAT,
    "/api/generate": OLLAMA_GENERATION,
    "/api/embed": OLLAMA_VECTORS,
    "/api/embeddings": OLLAMA_VECTOR,
    "/api/tags": OLLAMA_MODELS,
    "/api/ps": OLLAMA_LOADED,
    "/api/show": OLLAMA_SHOWN,
    "/api/version": thing(version=TEXT),
    "/api/pull": OLLAMA_STATUS,
    "/api/create": OLLAMA_STATUS,
    "/completion": COMPLETION,
    "/infill": COMPLETION,
    "/tokenize": thing(tokens=many(ANYTHING)),
    "/detokenize": thing(content=TEXT),
    "/apply-template": thing(prompt=TEXT),
}
"""What is answered at a path, where the answer is one JSON object."""
STREAMS = {
    "ollama": ("application/x-ndjson", "A line of JSON for each piece of the answer; the last one has the figures"),
    "openai": ("text/event-stream", "An event for each piece of the answer"),
}
"""How an answer comes where `stream` is asked for, and what is in it."""

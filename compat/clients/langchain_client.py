"""LangChain's packages for chat models: `langchain_client.py openai|ollama|anthropic`."""

from __future__ import annotations

import sys
from typing import Any

import demo
import pydantic
from demo import Demo, NotThere, expect
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

dialect = sys.argv[1]
ours = Demo(f"langchain-{dialect}")


def chat_model(*, url: str = demo.URL, model: str = demo.MODEL, key: str = "none", length: int = 20) -> Any:
    """A chat model as the package of this dialect makes it."""
    match dialect:
        case "openai":
            from langchain_openai import ChatOpenAI

            return ChatOpenAI(
                model=model, base_url=f"{url}/v1", api_key=pydantic.SecretStr(key), max_retries=0, max_tokens=length,
                stream_usage=True,
            )  # fmt: skip
        case "anthropic":
            from langchain_anthropic import ChatAnthropic

            return ChatAnthropic(
                model_name=model, base_url=url, api_key=pydantic.SecretStr(key), max_retries=0,
                max_tokens_to_sample=length,
            )  # fmt: skip
        case _:
            from langchain_ollama import ChatOllama

            headers = {"headers": {"authorization": f"Bearer {key}"}}
            return ChatOllama(model=model, base_url=url, num_predict=length, temperature=0, client_kwargs=headers)


def error_of_client(name: str) -> type[Exception]:
    """The client's own class for an error: that of the package beneath it."""
    match dialect:
        case "openai":
            import openai

            return getattr(openai, name)
        case "anthropic":
            import anthropic

            return getattr(anthropic, name)
        case _:
            import ollama

            return ollama.ResponseError


class Bird(pydantic.BaseModel):
    """A bird."""

    name: str
    can_fly: bool
    legs: int


@tool
def get_weather(city: str) -> str:
    """Tells the weather in a city."""
    return demo.WEATHER_RESULT


@ours.check("list")
def list_models() -> None:
    raise NotThere("LangChain lists no models")


@ours.check("chat")
def chat() -> None:
    reply = chat_model().invoke(demo.QUESTION)
    assert reply.content and 0 < reply.usage_metadata["output_tokens"] <= 20


@ours.check("stream")
def stream() -> None:
    pieces = list(chat_model().stream(demo.STORY))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert len(pieces) > 3
    assert whole.usage_metadata["output_tokens"] == 20, whole.usage_metadata


@ours.check("tools")
def tools() -> None:
    """For Ollama it cannot demand a call: the model makes it by itself, as it has seen it done."""
    demanding = {} if dialect == "ollama" else {"tool_choice": "any"}
    model = chat_model(length=100).bind_tools([get_weather], **demanding)
    before = [message for city in demo.WEATHER_BEFORE for message in called_before(city)]
    asked = HumanMessage(demo.WEATHER_QUESTION)
    reply = model.invoke([*before, asked])
    assert reply.tool_calls, reply
    [call, *_] = reply.tool_calls
    demo.check_weather_call(call["name"], call["args"])
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert chat_model().bind_tools([get_weather]).invoke([asked, reply, result])


def called_before(city: str) -> list[AnyMessage]:
    told = demo.WEATHER_BEFORE[city]
    call = {"name": demo.WEATHER, "args": {"city": city}, "id": city}
    return [
        HumanMessage(f"What is the weather in {city}?"),
        AIMessage("", tool_calls=[call]),
        ToolMessage(told, tool_call_id=city),
        AIMessage(told),
    ]


@ours.check("schema")
def schema() -> None:
    model = chat_model(length=2000).with_structured_output(Bird, method="json_schema")
    for _ in range(demo.NUM_SCHEMA_RUNS):
        assert isinstance(model.invoke(demo.BIRD_QUESTION), Bird)


@ours.check("embeddings")
def embeddings() -> None:
    texts = ["a red fox", "the blue sea"]
    match dialect:
        case "openai":
            from langchain_openai import OpenAIEmbeddings

            model: Any = OpenAIEmbeddings(
                model=demo.EMBEDDING_MODEL, base_url=f"{demo.URL}/v1", api_key=pydantic.SecretStr("none"),
                check_embedding_ctx_length=False,
            )  # fmt: skip
        case "ollama":
            from langchain_ollama import OllamaEmbeddings

            model = OllamaEmbeddings(model=demo.EMBEDDING_MODEL, base_url=demo.URL)
        case _:
            raise NotThere("Anthropic's API has no embeddings")
    demo.check_vectors(model.embed_documents(texts))


@ours.check("cancel")
def cancel() -> str:
    pieces = chat_model(length=4000).stream(demo.STORY)
    for number, _ in enumerate(pieces):
        if number == 5:
            break
    demo.check_busy()
    pieces.close()
    return demo.wait_for_free_slot()


@ours.check("key")
def key() -> None:
    with expect(error_of_client("AuthenticationError"), "401"):
        chat_model(url=demo.LOCKED_URL, key="wrong").invoke(demo.QUESTION)
    assert chat_model(url=demo.LOCKED_URL, key=demo.KEY, length=2).invoke(demo.QUESTION)


@ours.check("too long")
def too_long() -> None:
    if dialect == "ollama":
        with expect(error_of_client("BadRequestError"), "400", "tokens"):
            chat_model().invoke(demo.TOO_LONG)
    else:
        with expect(ContextOverflowError):
            chat_model().invoke(demo.TOO_LONG)


@ours.check("no model")
def no_model() -> None:
    with expect(error_of_client("NotFoundError"), "404"):
        chat_model(model=demo.NO_MODEL).invoke(demo.QUESTION)


@ours.check("responses")
def responses() -> None:
    if dialect != "openai":
        raise NotThere("OpenAI's alone")
    model = chat_model()
    model.use_responses_api = True
    reply = model.invoke(demo.QUESTION)
    assert reply.text and reply.usage_metadata["output_tokens"] <= 20


@ours.check("batches")
def batches() -> None:
    raise NotThere("LangChain has none")


ours.run()

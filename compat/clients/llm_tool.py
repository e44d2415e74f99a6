"""Simon Willison's `llm`, as a program and as a library: `llm_tool.py openai|ollama|anthropic`."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import demo

dialect = sys.argv[1]
home = Path(tempfile.mkdtemp(prefix="llm-"))
os.environ |= {
    "LLM_USER_PATH": str(home),
    "OLLAMA_HOST": demo.URL,
    "ANTHROPIC_BASE_URL": demo.URL,
    "ANTHROPIC_API_KEY": "none",
    "OPENAI_API_KEY": "none",
}
MODEL = {"openai": "glasshouse", "ollama": f"ollama/{demo.MODEL}", "anthropic": f"anthropic/{demo.MODEL}"}[dialect]
ABLE = "supports_schema: true, supports_tools: true"
(home / "extra-openai-models.yaml").write_text(
    "".join(
        f"- {{model_id: {name}, model_name: {model}, api_base: {url}/v1, {ABLE}}}\n"
        for name, model, url in (
            ("glasshouse", demo.MODEL, demo.URL),
            ("missing", demo.NO_MODEL, demo.URL),
            ("locked", demo.MODEL, demo.LOCKED_URL),
        )
    )
)


def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`llm …` in a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "llm", *words], check=False, capture_output=True, text=True, timeout=120,
        env=os.environ | (env or {}),
    )  # fmt: skip


if dialect == "anthropic":
    run("anthropic", "refresh")  # it learns our models' names, as it does Anthropic's

import llm
from demo import Demo, NotThere, expect

ours = Demo("llm", *{"ollama": ["llm-ollama"], "anthropic": ["llm-anthropic"]}.get(dialect, []))
LENGTH = {"openai": "max_tokens", "ollama": "num_predict", "anthropic": "max_tokens"}[dialect]


def limit(count: int) -> dict[str, int]:
    return {LENGTH: count}


@ours.check("list")
def list_models() -> None:
    listed = run("models", "list").stdout
    assert MODEL in listed, listed


@ours.check("chat")
def chat() -> None:
    said = run("-m", MODEL, "--no-stream", "-o", LENGTH, "20", demo.QUESTION)
    assert said.stdout.strip(), said.stderr
    reply = llm.get_model(MODEL).prompt(demo.QUESTION, stream=False, **limit(20))
    assert reply.text() and reply.usage().output


@ours.check("stream")
def stream() -> None:
    reply = llm.get_model(MODEL).prompt(demo.STORY, stream=True, **limit(20))
    assert len(list(reply)) > 3
    assert reply.usage().output == 20


@ours.check("tools")
def tools() -> None:
    """`llm` cannot demand a call: the model makes it by itself, as it is shown."""

    def get_weather(city: str) -> str:
        """Tells the weather in a city."""
        return demo.WEATHER_RESULT

    model = llm.get_model(MODEL)
    if not model.supports_tools:
        raise NotThere("it offers tools only where the model's own template knows them; the starter model's does not")
    talk = model.conversation(tools=[get_weather])
    shown = "".join(
        f"Question: What is the weather in {city}?\nAnswer: {call_of(city)}\n" for city in demo.WEATHER_BEFORE
    )
    asked = f"Answer only with the call.\n{shown}Question: {demo.WEATHER_QUESTION}\nAnswer:"
    reply = talk.prompt(asked, stream=False, temperature=0, **limit(100))
    [call, *_] = reply.tool_calls()
    demo.check_weather_call(call.name, call.arguments)
    told = talk.prompt(tool_results=reply.execute_tool_calls(), stream=False, **limit(20))
    assert told.text() or told.tool_calls()


def call_of(city: str) -> str:
    call = json.dumps({"name": demo.WEATHER, "arguments": {"city": city}})
    return f"<tool_call>\n{call}\n</tool_call>"


@ours.check("schema")
def schema() -> None:
    for _ in range(demo.NUM_SCHEMA_RUNS):
        reply = llm.get_model(MODEL).prompt(demo.BIRD_QUESTION, schema=demo.BIRD_SCHEMA, **limit(400))
        demo.check_bird(json.loads(reply.text()), with_limits=dialect != "anthropic")


@ours.check("embeddings")
def embeddings() -> None:
    if dialect != "ollama":
        raise NotThere("its embedding models have fixed names")
    model = llm.get_embedding_model(f"ollama/{demo.EMBEDDING_MODEL}")
    demo.check_vectors([list(vector) for vector in model.embed_multi(["a red fox", "the blue sea"])])


@ours.check("cancel")
def cancel() -> str:
    """As Ctrl-C does it: the program ends in mid-stream."""
    with subprocess.Popen(
        [sys.executable, "-m", "llm", "-m", MODEL, "-o", LENGTH, "4000", demo.STORY], stdout=subprocess.PIPE
    ) as asking:
        assert asking.stdout is not None
        asking.stdout.read(20)
        demo.check_busy()
        asking.kill()
    return demo.wait_for_free_slot()


@ours.check("key")
def key() -> None:
    if dialect == "openai":
        refused = run("-m", "locked", "--key", "wrong", demo.QUESTION)
    elif dialect == "anthropic":
        refused = run("-m", MODEL, "--key", "wrong", demo.QUESTION, env={"ANTHROPIC_BASE_URL": demo.LOCKED_URL})
    else:
        raise NotThere("llm-ollama takes no key but a user's name and password")
    assert refused.returncode == 1 and "Error: " in refused.stderr and "401" in refused.stderr, refused.stderr


@ours.check("too long")
def too_long() -> None:
    # `llm` has no errors of its own for this: it lets those of the package beneath it through.
    package, name = {"ollama": ("ollama", "ResponseError")}.get(dialect, (dialect, "BadRequestError"))
    with expect(getattr(importlib.import_module(package), name), "8,192"):
        llm.get_model(MODEL).prompt(demo.TOO_LONG, stream=False, **limit(5)).text()


@ours.check("no model")
def no_model() -> None:
    if dialect != "openai":
        raise NotThere("it asks only for models that the server has listed")
    refused = run("-m", "missing", demo.QUESTION)
    assert refused.returncode == 1 and "404" in refused.stderr and demo.NO_MODEL in refused.stderr, refused.stderr


@ours.check("responses")
def responses() -> None:
    raise NotThere("it speaks Responses only to OpenAI itself")


@ours.check("batches")
def batches() -> None:
    raise NotThere("it has none")


ours.run()

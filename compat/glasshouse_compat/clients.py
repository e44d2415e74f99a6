"""Whose clients are run, and in which environment: one line for each row of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """`name` is a word of the command line and the table; `script` stands in `compat/clients`."""

    name: str
    environment: str
    script: str
    argument: str = ""
    speaks: str = "OpenAI"


@dataclass(frozen=True, slots=True)
class Check:
    """One column of the table."""

    name: str
    title: str
    about: str


ENVIRONMENTS: dict[str, tuple[str, ...]] = {  #: packages of PyPI; those of "node" are npm's
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "ollama": ("ollama",),
    "litellm": ("litellm", "mcp"),  # tools and Responses need the second, which the first does not ask for
    "llm": ("llm", "llm-ollama", "llm-anthropic"),
    "langchain": ("langchain-openai", "langchain-ollama", "langchain-anthropic"),
    "node": ("openai", "@anthropic-ai/sdk", "ollama"),
}

CLIENTS = (
    Client("openai (Python)", "openai", "openai_python.py"),
    Client("openai (JavaScript)", "node", "openai_node.mjs"),
    Client("anthropic (Python)", "anthropic", "anthropic_python.py", speaks="Anthropic"),
    Client("@anthropic-ai/sdk (JavaScript)", "node", "anthropic_node.mjs", speaks="Anthropic"),
    Client("ollama (Python)", "ollama", "ollama_python.py", speaks="Ollama"),
    Client("ollama (JavaScript)", "node", "ollama_node.mjs", speaks="Ollama"),
    Client("LiteLLM, openai/", "litellm", "litellm_client.py", "openai"),
    Client("LiteLLM, lm_studio/", "litellm", "litellm_client.py", "lm_studio"),
    Client("LiteLLM, anthropic/", "litellm", "litellm_client.py", "anthropic", speaks="Anthropic"),
    Client("LiteLLM, ollama_chat/", "litellm", "litellm_client.py", "ollama_chat", speaks="Ollama"),
    Client("llm, extra-openai-models", "llm", "llm_tool.py", "openai"),
    Client("llm, llm-anthropic", "llm", "llm_tool.py", "anthropic", speaks="Anthropic"),
    Client("llm, llm-ollama", "llm", "llm_tool.py", "ollama", speaks="Ollama"),
    Client("langchain-openai", "langchain", "langchain_client.py", "openai"),
    Client("langchain-anthropic", "langchain", "langchain_client.py", "anthropic", speaks="Anthropic"),
    Client("langchain-ollama", "langchain", "langchain_client.py", "ollama", speaks="Ollama"),
)

CHECKS = (
    Check("list", "models", "it lists the models, and the starter model is among them"),
    Check("chat", "chat", "a whole answer, with its length in tokens"),
    Check("stream", "stream", "the answer in pieces, and at the end how long it was"),
    Check("tools", "tools", "a call with arguments as the schema wants them; its result goes back, and is answered"),
    Check("schema", "schema", "five answers in a row that parse and are valid"),
    Check("embeddings", "vectors", "two texts become two vectors"),
    Check("cancel", "hang up", "leaving in mid-stream frees the slot"),
    Check("key", "key", "a wrong key is the client's own error for that, the right one opens"),
    Check("too long", "too long", "a prompt that is too long is the client's own error for that"),
    Check("no model", "no model", "so is a model that is not there"),
    Check("responses", "Responses", "OpenAI's newer API: whole, streamed, chained, in a form"),
    Check("batches", "batches", "a file of requests, answered in the background"),
)

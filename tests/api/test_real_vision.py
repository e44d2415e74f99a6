"""A real engine looks at an image: in every dialect the same is answered, and a blind model says that it is blind."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image
import pytest
import pytest_asyncio
from fastapi import FastAPI

from tests.engine.tiny_models import write_tiny_model
from tests.engine.tiny_projectors import NUM_ROWS, write_tiny_projector
from webui.api import add_routes
from webui.config import Settings
from webui.core.application import Application

SEES, BLIND = "tiny-llama", "tiny-qwen2"


def picture(seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


CAT, DOG = picture(1), picture(2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A server in this process with a model that sees and one that does not."""
    home: Path = tmp_path_factory.mktemp("house")
    for name in (SEES, BLIND):
        (home / "models" / name).mkdir(parents=True)
        write_tiny_model(home / "models" / name, name.removeprefix("tiny-"))
    folder = home / "models" / SEES
    write_tiny_projector(folder, "mlp").rename(folder / f"mmproj-{SEES}.gguf")
    async with Application(Settings(data_dir=home / "data", models_dir=home / "models", ctx=1024)) as application:
        app = FastAPI(docs_url=None, redoc_url=None)
        add_routes(app, application)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8002", timeout=60) as session:
            yield session


def ask(dialect: str, model: str, image: str) -> tuple[str, dict[str, Any]]:
    """The path and the body of one question about one image."""
    question = "What is it?"
    if dialect == "openai":
        parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
                 {"type": "text", "text": question}]  # fmt: skip
        messages = [{"role": "user", "content": parts}]
        return "/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": 4, "temperature": 0}
    if dialect == "anthropic":
        block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}
        messages = [{"role": "user", "content": [block, {"type": "text", "text": question}]}]
        return "/v1/messages", {"model": model, "messages": messages, "max_tokens": 4, "temperature": 0}
    options = {"temperature": 0, "num_predict": 4}
    messages = [{"role": "user", "content": question, "images": [image]}]
    return "/api/chat", {"model": model, "messages": messages, "stream": False, "options": options}


def said(dialect: str, answer: dict[str, Any]) -> str:
    if dialect == "openai":
        return str(answer["choices"][0]["message"]["content"])
    return str(answer["content"][0]["text"] if dialect == "anthropic" else answer["message"]["content"])


@pytest.mark.asyncio(loop_scope="module")
async def test_an_image_is_seen_in_every_dialect(client: httpx.AsyncClient) -> None:
    answers = {}
    for dialect in ("openai", "anthropic", "ollama"):
        path, body = ask(dialect, SEES, CAT)
        response = await client.post(path, json=body)
        assert response.status_code == 200, response.text
        answers[dialect] = response.json()
    assert len({said(dialect, answer) for dialect, answer in answers.items()}) == 1
    usage = answers["openai"]["usage"]
    assert usage["prompt_tokens"] > NUM_ROWS["mlp"]
    assert answers["anthropic"]["usage"]["cache_read_input_tokens"] == usage["prompt_tokens"] - 1, "read once"
    path, body = ask("openai", SEES, DOG)
    assert said("openai", (await client.post(path, json=body)).json()) != said("openai", answers["openai"])
    assert "vision" in (await client.post("/api/show", json={"model": SEES})).json()["capabilities"]
    entries = (await client.get("/api/v0/models")).json()["data"]
    assert {entry["id"]: entry["type"] for entry in entries}[SEES] == "vlm"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "ollama"])
async def test_a_model_without_a_projector_says_what_to_do(client: httpx.AsyncClient, dialect: str) -> None:
    path, body = ask(dialect, BLIND, CAT)
    response = await client.post(path, json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert "cannot see images" in (error if dialect == "ollama" else error["message"])
    assert "mmproj" in response.text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_raw_prompt_has_images_where_its_markers_are(client: httpx.AsyncClient) -> None:
    chat = "<|im_start|>user\n{}What is it?<|im_end|>\n<|im_start|>assistant\n"
    prompt = {"prompt_string": chat.format("<__media__>"), "multimodal_data": [CAT]}
    body = {"model": SEES, "prompt": prompt, "n_predict": 4, "temperature": 0}
    raw = (await client.post("/completion", json=body)).json()
    path, asked = ask("openai", SEES, CAT)
    answer = (await client.post(path, json=asked)).json()
    assert (raw["content"], raw["tokens_evaluated"]) == (said("openai", answer), answer["usage"]["prompt_tokens"])
    response = await client.post("/completion", json=body | {"prompt": prompt | {"multimodal_data": []}})
    assert response.status_code == 400
    assert "1 markers" in response.text


@pytest.mark.asyncio(loop_scope="module")
async def test_an_image_is_counted_before_it_is_sent(client: httpx.AsyncClient) -> None:
    _, body = ask("anthropic", SEES, CAT)
    body = {name: value for name, value in body.items() if name in {"model", "messages"}}
    counted = (await client.post("/v1/messages/count_tokens", json=body)).json()
    path, asked = ask("openai", SEES, CAT)
    usage = (await client.post(path, json=asked)).json()["usage"]
    assert counted["input_tokens"] == usage["prompt_tokens"]

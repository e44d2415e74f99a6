"""glasshouse connect: the list, what to paste, and the test, whose exit code says whether it worked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Glasshouse

SHOWN = {
    "id": "openai-python", "name": "OpenAI for Python", "kind": "library", "speaks": "openai", "uses": ["list"],
    "source": "https://github.com/openai/openai-python", "address": "http://localhost:8002", "model": "Tiny",
    "paste": [{"where": "Your program", "language": "python", "text": 'client = OpenAI(base_url="http://…")'}],
    "hints": ["No key is needed."],
}  # fmt: skip


@pytest.fixture
def told(play_server: Callable[..., None]) -> list[str]:
    """Paths that were asked."""
    asked: list[str] = []

    def answer(method: str, path: str, body: str) -> Any:
        asked.append(path)
        return [SHOWN] if path == "/manage/connect" else SHOWN

    play_server(answer)
    return asked


def test_the_list(glasshouse: Glasshouse, told: list[str]) -> None:
    assert "openai-python" in glasshouse("connect").stdout
    assert json.loads(glasshouse("connect", "--json").stdout) == [SHOWN]


def test_only_what_is_pasted_goes_to_stdout(glasshouse: Glasshouse, told: list[str]) -> None:
    shown = glasshouse("connect", "OpenAI for Python")
    assert shown.stdout == 'client = OpenAI(base_url="http://…")\n'
    assert "Your program:" in shown.stderr
    assert told == ["/manage/connect/openai-python"]


def test_a_program_that_nobody_knows(glasshouse: Glasshouse, told: list[str]) -> None:
    shown = glasshouse("connect", "netscape")
    assert shown.exit_code == 1
    assert "netscape" in shown.stderr


def test_a_test_that_fails_says_so(glasshouse: Glasshouse, told: list[str]) -> None:
    shown = glasshouse("connect", "curl", "--test")
    assert shown.exit_code == 1
    assert "could not be asked" in shown.stdout
    assert "would not work" in shown.stderr

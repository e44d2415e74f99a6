"""The starter model through the workbench: what comes out still answers."""

from __future__ import annotations

import filecmp
import time
from pathlib import Path

import pytest

from tests.engine.script import Script
from tests.engine.test_real_model import starter  # noqa: F401 - a fixture
from webui.engine.loop import EngineLoop
from webui.engine.model_runner import load_model
from webui.engine.protocol import Generate, Load
from webui.errors import AlreadyQuantized
from webui.types import EngineOptions, GenerationRequest, Message, SamplingParams
from webui.workbench.dispatch import run_request
from webui.workbench.protocol import AnyFileRequest, Join, Quantize, Split, Written


def answer(path: Path, question: str) -> str:
    options = EngineOptions(context_tokens=256, kv_tokens=256, num_slots=1, threads=2)
    runner = load_model(Load(model_path=str(path), options=options), lambda _fraction: None)
    sampling = SamplingParams(temperature=0.0, max_tokens=16)
    request = GenerationRequest(messages=(Message(role="user", content=question),), sampling=sampling)
    script = Script(Generate(request_id=1, request=request))
    EngineLoop(script, runner, time.monotonic).run()
    return script.text(1)


def test_quantized_split_and_joined_it_still_knows_the_capital_of_france(
    starter: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    def do(request: AnyFileRequest) -> list[Path]:
        written = run_request(request, lambda _, __: None)
        assert isinstance(written, Written)
        return [tmp_path / name for name in written.file_names]

    def quantize(source: Path, file_type: str, *, allow: bool = False) -> Path:
        request = Quantize(
            source=str(source),
            output_dir=str(tmp_path),
            file_name=f"Smol-{file_type}.gguf",
            file_type=file_type,
            allow_requantize=allow,
            threads=2,
        )
        return do(request)[0]

    with pytest.raises(AlreadyQuantized):
        quantize(starter, "F16")
    small = quantize(quantize(starter, "F16", allow=True), "Q5_K_M")
    parts = do(
        Split(source=str(small), output_dir=str(tmp_path), file_name="Smol-parts.gguf", max_part_bytes=40_000_000)
    )
    assert "Paris" in answer(parts[0], "What is the capital of France?")
    (joined,) = do(Join(source=str(parts[0]), output_dir=str(tmp_path), file_name="Smol-joined.gguf"))
    assert filecmp.cmp(joined, small, shallow=False)

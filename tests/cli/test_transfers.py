"""glasshouse pull, search, quantize, doctor before a server that the test plays: progress, refusals, Ctrl+C."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Glasshouse, refusal

Play = Callable[..., None]


def download(state: str, done: int = 0, **more: Any) -> dict[str, Any]:
    fields = {"id": "d1", "reference": "org/repo:Q4", "title": "repo Q4", "state": state, "done_bytes": done}
    rest = {"total_bytes": 1000, "bytes_per_second": 10.0, "seconds_left": 3.0, "error": None, "error_code": None}
    return fields | rest | {"path": "/models/repo.gguf"} | more


def job(state: str, **more: Any) -> dict[str, Any]:
    fields = {
        "id": "j1",
        "title": "Quantize",
        "state": state,
        "progress": 0.5,
        "words": "layer 3",
        "result": "m-Q4.gguf",
    }
    return fields | {"size_bytes": 500_000_000, "notes": [], "error": None, "error_code": None} | more


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Whoever is started in the background of a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("hub", "jobs", "memory"):
        monkeypatch.setattr(f"webui.cli.{module}._LOOK_SECONDS", 0.0)


def test_pull_waits_until_it_is_here(glasshouse: Glasshouse, play_server: Play) -> None:
    states = iter([download("running", 500), download("verifying", 1000), download("done", 1000)])
    asked: list[str] = []

    def answer(method: str, path: str, body: str) -> Any:
        if method == "POST":
            asked.append(json.loads(body)["reference"])
            return download("queued")
        return next(states)

    play_server(answer)
    shown = glasshouse("pull", "org/repo:Q4")
    assert (shown.exit_code, shown.stdout) == (0, "repo Q4 is here: /models/repo.gguf\n")
    assert asked == ["org/repo:Q4"]


def test_a_presets_id_is_a_reference_too(glasshouse: Glasshouse, play_server: Play) -> None:
    def answer(method: str, path: str, body: str) -> Any:
        if path == "/manage/presets":
            return [{"id": "qwen3-4b", "reference": "Qwen/Qwen3-4B-GGUF:Q4_K_M"}]
        assert json.loads(body) == {"reference": "Qwen/Qwen3-4B-GGUF:Q4_K_M"}
        return download("queued")

    play_server(answer)
    assert glasshouse("pull", "qwen3-4b", "--detach").output == "The server fetches repo Q4.\n"


def test_ctrl_c_pauses_a_download(glasshouse: Glasshouse, play_server: Play) -> None:
    asked: list[str] = []

    def answer(method: str, path: str, body: str) -> Any:
        asked.append(f"{method} {path}")
        if path.endswith("/pause"):
            return download("paused", 640_000_000)
        if method == "GET":
            signal.raise_signal(signal.SIGINT)
        return download("running")

    play_server(answer)
    shown = glasshouse("pull", "org/repo:Q4")
    assert shown.exit_code == 130
    assert shown.stderr == "Paused at 640 MB. The same command goes on from there.\n"
    assert asked[-1] == "POST /manage/downloads/d1/pause"


def test_a_paused_one_is_resumed_and_a_failed_one_says_why(glasshouse: Glasshouse, play_server: Play) -> None:
    asked: list[str] = []

    def answer(method: str, path: str, body: str) -> Any:
        asked.append(path)
        if path == "/manage/downloads":
            return download("paused", 300)
        return download("failed", error="The hub is not reachable.", error_code="hub_offline")

    play_server(answer)
    shown = glasshouse("pull", "org/repo")
    assert (shown.exit_code, shown.stderr) == (1, "glasshouse: The hub is not reachable.\n")
    assert asked == ["/manage/downloads", "/manage/downloads/d1/resume"]


def test_search_tells_names_and_numbers(glasshouse: Glasshouse, play_server: Play) -> None:
    found = {"repo": "org/Qwen3-GGUF", "downloads": 1_234_567, "likes": 42, "updated_at": 1.75e9, "is_gated": True}
    play_server(lambda *_: [found])
    shown = glasshouse("search", "qwen", "3")
    assert shown.stdout.splitlines()[1].split() == ["org/Qwen3-GGUF", "1M", "42", "2025-06-15", "gated"]
    assert json.loads(glasshouse("search", "qwen", "--json").stdout) == [found]


def test_what_a_repository_holds(glasshouse: Glasshouse, play_server: Play) -> None:
    variant = {"label": "Q4_K_M", "files": [{}], "total_bytes": 2_500_000_000, "mmproj": None, "is_default": True}
    play_server(lambda *_: {"repo": "org/repo", "variants": [variant | {"fit": {"fit": "too_big"}}]})
    shown = glasshouse("pull", "org/repo", "--list")
    assert shown.stdout.splitlines()[1].split() == ["org/repo:Q4_K_M", "(default)", "2.5", "GB", "1", "too", "big"]


def test_quantize_says_the_size_first_and_waits(glasshouse: Glasshouse, play_server: Play) -> None:
    states = iter([job("running"), job("done", notes=["The embeddings stay Q8_0."])])

    def answer(method: str, path: str, body: str) -> Any:
        if path.endswith("/estimate"):
            return {"size_bytes": 500_000_000, "problem": None}
        return job("queued") if method == "POST" else next(states)

    play_server(answer)
    shown = glasshouse("quantize", "m", "Q4_K_M")
    assert (shown.exit_code, shown.stdout) == (0, "m-Q4.gguf is ready (500 MB).\n")
    assert shown.stderr.splitlines() == ["As Q4_K_M it takes 500 MB.", "The embeddings stay Q8_0."]
    assert glasshouse("quantize", "m", "Q4_K_M", "--dry-run").stdout == "As Q4_K_M it takes 500 MB.\n"


def test_ctrl_c_cancels_a_job(glasshouse: Glasshouse, play_server: Play) -> None:
    asked: list[str] = []

    def answer(method: str, path: str, body: str) -> Any:
        asked.append(path)
        if method == "GET":
            signal.raise_signal(signal.SIGINT)
        return {"size_bytes": 5, "problem": None} if path.endswith("/estimate") else job("running")

    play_server(answer)
    shown = glasshouse("quantize", "m", "Q4_K_M")
    assert (shown.exit_code, asked[-1]) == (130, "/manage/jobs/j1/cancel")
    assert "Cancelled; nothing is left of it." in shown.stderr


def stream(*events: dict[str, Any]) -> httpx.Response:
    frames = [f"data: {json.dumps(event)}\n\n" for event in events]
    return httpx.Response(200, text="".join([": still here\n\n", *frames, "data: [DONE]\n\n"]))


def report(state: str) -> dict[str, Any]:
    check = {"name": "header", "title": "File", "state": state, "words": "The file is whole.", "figures": []}
    trial = {"setting": "threads", "tried": "3", "words": "A tenth faster.", "is_better": True}
    fields = {"model_name": "Tiny", "summary": "Works.", "state": state, "checks": [check], "trials": [trial]}
    return fields | {"is_current": True}


def test_the_doctor_tells_what_it_found(glasshouse: Glasshouse, play_server: Play) -> None:
    progress = {"type": "DoctorProgress", "fraction": 0.5, "words": "speed"}
    play_server(lambda *_: stream(progress, {"type": "DoctorDone", "report": report("ok")}))
    shown = glasshouse("doctor", "tiny")
    assert shown.exit_code == 0
    assert "ok  File   The file is whole." in shown.stdout
    assert "threads 3  A tenth faster." in shown.stdout
    play_server(lambda *_: stream({"type": "DoctorDone", "report": report("fail")}))
    assert glasshouse("doctor", "tiny", "--json").exit_code == 5


def test_an_examination_that_breaks_off_says_why(glasshouse: Glasshouse, play_server: Play) -> None:
    play_server(lambda *_: stream({"error": {"message": "The model stopped.", "code": "engine_died"}}))
    shown = glasshouse("doctor", "tiny")
    assert (shown.exit_code, shown.stderr) == (1, "glasshouse: The model stopped.\n")
    play_server(lambda *_: stream())
    assert "without a report" in glasshouse("doctor", "tiny").stderr


def test_memory_commands(glasshouse: Glasshouse, play_server: Play) -> None:
    live = {"id": "tiny", "state": "ready", "engine_bytes": 2_000_000_000, "context_tokens": 8192, "device": "CPU"}
    live |= {"num_running": 1, "num_waiting": 2, "seconds_left": 290.0, "note": "A smaller context than asked for."}
    bodies: list[Any] = []

    def answer(method: str, path: str, body: str) -> Any:
        if path == "/manage/ps":
            return [live]
        if path == "/status":
            return {"state": "starting", "progress": 0.5}
        bodies.append(json.loads(body) if body else None)
        return {"id": "tiny", "name": "Tiny"}

    play_server(answer)
    row = glasshouse("ps").stdout.splitlines()[1]
    assert row.split() == ["tiny", "ready", "2.0", "GB", "8,192", "CPU", "1", "(+2)", "in", "5", "min"]
    loaded = glasshouse("load", "tiny", "--ctx", "4096", "--keep-alive", "5m")
    assert (loaded.stdout, loaded.stderr) == ("Tiny is loaded.\n", "A smaller context than asked for.\n")
    assert bodies == [{"ctx": 4096, "keep_alive": "5m", "beside": False}]
    assert glasshouse("unload", "tiny").stdout == "Tiny is unloaded.\n"
    assert glasshouse("unload", "--all").stdout == "Every model is unloaded.\n"
    assert glasshouse("unload").exit_code == 2


def test_a_server_that_wants_a_key_is_code_4(glasshouse: Glasshouse, play_server: Play) -> None:
    play_server(lambda *_: refusal(401, "sign_in_required", "Sign in with the passphrase first."))
    shown = glasshouse("list")
    assert (shown.exit_code, shown.stderr) == (4, "glasshouse: Sign in with the passphrase first.\n")
    play_server(lambda *_: httpx.Response(502, text="<html>nginx</html>"))
    assert "status 502" in glasshouse("list").stderr
    play_server(lambda *_: httpx.Response(200, text="<html>some router</html>"))
    assert glasshouse("list").exit_code == 4

"""glasshouse list, show, rm, cp: with no server running, over a folder of models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Glasshouse
from tests.library.gguf_files import write_model
from tests.library.model_stores import ollama_blob, ollama_manifest
from tests.support.fake_hub import FakeHub


@pytest.fixture
def models(folder: Path) -> Path:
    write_model(folder / "models" / "Tiny-1B-Q4_K_M.gguf", name="Tiny")
    return folder / "models"


def test_the_list_for_people(glasshouse: Glasshouse, models: Path) -> None:
    (models / "broken.gguf").write_bytes(b"GGUF and no more than this")
    shown = glasshouse("list")
    assert shown.exit_code == 0
    head, *rows = shown.output.splitlines()
    assert head.split() == ["MODEL", "SIZE", "TYPE", "PARAMETERS", "CONTEXT", "WHERE", "STATE"]
    told = {row.split()[0]: row for row in rows}
    assert "Q4_K_M" in told["Tiny-1B-Q4_K_M"]
    assert "cannot be used" in told["broken"]
    assert "starter" in told["SmolLM2-135M-Instruct.Q4_1"]


def test_words_narrow_the_list(glasshouse: Glasshouse, models: Path) -> None:
    shown = glasshouse("list", "TINY", "q4")
    assert [row.split()[0] for row in shown.output.splitlines()[1:]] == ["Tiny-1B-Q4_K_M"]
    assert "No model has these words" in glasshouse("list", "nothing-like-this").stderr


def test_a_narrow_terminal_keeps_what_matters(glasshouse: Glasshouse, models: Path) -> None:
    head, *rows = glasshouse("list", "tiny", width=26).output.splitlines()
    assert head.split() == ["MODEL", "SIZE"]
    assert rows[0].split()[0] == "Tiny-1B-Q4_K_M", "a name is never cut"


def test_the_list_for_programs(glasshouse: Glasshouse, models: Path) -> None:
    shown = glasshouse("list", "--json", "tiny")
    [model] = json.loads(shown.stdout)
    assert (model["id"], model["size_bytes"]) == ("Tiny-1B-Q4_K_M", (models / "Tiny-1B-Q4_K_M.gguf").stat().st_size)


def test_show(glasshouse: Glasshouse, models: Path) -> None:
    shown = glasshouse("show", "tiny-1b-q4_k_m").output
    assert "architecture  llama" in shown
    assert str(models / "Tiny-1B-Q4_K_M.gguf") in shown
    assert any(row.split()[:2] == ["2", "F16"] for row in shown.splitlines()), "shares of tensor types"
    assert glasshouse("show", "Tiny-1B-Q4_K_M", "--template").stdout == "{{ messages[0].content }}\n"
    details = json.loads(glasshouse("show", str(models / "Tiny-1B-Q4_K_M.gguf"), "--json").stdout)["details"]
    assert details["chat_template"] == "{{ messages[0].content }}"


def test_what_is_not_there_is_code_3_and_a_sentence(glasshouse: Glasshouse, models: Path) -> None:
    for name in ("nobody", "org/nobody"):
        shown = glasshouse("show", name)
        assert (shown.exit_code, shown.stdout) == (3, "")
        assert shown.stderr.startswith("glasshouse: There is no model named")
        assert len(shown.stderr.splitlines()) == 1


def test_a_name_that_would_act_on_the_terminal_does_not(glasshouse: Glasshouse, folder: Path) -> None:
    write_model(folder / "models" / "evil\x1b[31m[bold]red.gguf", name="x\x1b]0;title\x07")
    shown = glasshouse("show", "evil-[31m[bold]red", env={"FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert "\x1b[31m" not in shown.output
    assert "\x1b]" not in shown.output
    assert "[bold]" in shown.output


def test_rm_asks_or_is_told(glasshouse: Glasshouse, models: Path) -> None:
    refused = glasshouse("rm", "Tiny-1B-Q4_K_M")
    assert (refused.exit_code, (models / "Tiny-1B-Q4_K_M.gguf").exists()) == (2, True)
    assert "Say so with --yes" in refused.stderr
    removed = glasshouse("rm", "--yes", "Tiny-1B-Q4_K_M")
    assert (removed.exit_code, removed.output) == (0, "Removed Tiny-1B-Q4_K_M.\n")
    assert not (models / "Tiny-1B-Q4_K_M.gguf").exists()
    starter = glasshouse("rm", "--yes", "SmolLM2-135M-Instruct.Q4_1")
    assert starter.exit_code == 1
    assert "Glasshouse deletes only there" in starter.stderr


def test_a_second_name_costs_no_disk(glasshouse: Glasshouse, models: Path) -> None:
    made = glasshouse("cp", "Tiny-1B-Q4_K_M", "poet", "--system", "Answer in rhymes.", "--ctx", "512")
    assert made.output == "poet is Tiny-1B-Q4_K_M with settings of its own.\n"
    assert [file.name for file in models.iterdir()] == ["Tiny-1B-Q4_K_M.gguf"]
    assert "poet    Tiny-1B-Q4_K_M" in glasshouse("list").output
    taken = glasshouse("cp", "Tiny-1B-Q4_K_M", "Poet")
    assert (taken.exit_code, "--force" in taken.stderr) == (1, True)
    copied = json.loads(glasshouse("cp", "poet", "bard", "--ctx", "1024", "--json").stdout)
    assert (copied["defaults"]["system_prompt"], copied["defaults"]["ctx"]) == ("Answer in rhymes.", 1024)
    assert glasshouse("rm", "poet", "bard").output == "Removed poet, bard.\n"
    assert (models / "Tiny-1B-Q4_K_M.gguf").exists()


def test_a_model_comes_from_the_hub_without_a_server(
    glasshouse: Glasshouse, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_model(tmp_path / "source.gguf").read_bytes()
    with FakeHub() as hub:
        hub.add("me/Tiny-GGUF", {"Tiny-Q4_K_M.gguf": content})
        monkeypatch.setenv("GLASSHOUSE_HUB_ENDPOINT", hub.endpoint)
        listed = glasshouse("pull", "me/Tiny-GGUF", "--list")
        assert listed.stdout.splitlines()[1].startswith("me/Tiny-GGUF:Q4_K_M")
        pulled = glasshouse("pull", "me/Tiny-GGUF:Q4_K_M")
        assert pulled.exit_code == 0, pulled.output
        private = glasshouse("pull", "me/Nothing-GGUF")  # the hub does not tell what is private from what is not there
        assert (private.exit_code, len(private.stderr.splitlines())) == (1, 1)
    assert (folder / "models" / "me" / "Tiny-GGUF" / "Tiny-Q4_K_M.gguf").read_bytes() == content
    monkeypatch.setenv("GLASSHOUSE_HUB_ENDPOINT", "http://127.0.0.1:9")
    offline = glasshouse("search", "anything")
    assert (offline.exit_code, len(offline.stderr.splitlines())) == (1, 1)


def test_other_programs_models_are_offered_and_used_where_they_lie(
    glasshouse: Glasshouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(folder / "ollama"))
    ollama_manifest(folder / "ollama", "registry.ollama.ai/library/llama3.2/3b", ollama_blob(folder / "ollama", "1"))
    offered = glasshouse("list")
    assert "glasshouse stores --use ollama" in offered.stderr
    assert "llama3.2" not in offered.stdout
    [row] = glasshouse("stores", "--use", "ollama").stdout.splitlines()[1:]
    assert (row.split()[0], row.split()[-2]) == ("ollama", "yes")
    used = glasshouse("list")
    assert "llama3.2-3b" in used.stdout
    assert "--use" not in used.stderr
    assert glasshouse("show", "llama3.2:3b").exit_code == 0
    assert glasshouse("rm", "--yes", "llama3.2:3b").exit_code == 1, "never deleted there"
    assert glasshouse("stores", "--use", "windows").exit_code == 1


def test_without_a_server_nothing_is_in_memory(glasshouse: Glasshouse) -> None:
    assert json.loads(glasshouse("ps", "--json").stdout) == []
    assert "No server is running" in glasshouse("ps").stderr
    load = glasshouse("load", "SmolLM2-135M-Instruct.Q4_1")
    assert (load.exit_code, "glasshouse serve" in load.stderr) == (1, True)

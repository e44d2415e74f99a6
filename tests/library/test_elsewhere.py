"""Models that other programs brought: found, counted, listed when wanted, and never believed blindly."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.library.gguf_files import write_model
from tests.library.model_stores import cached_file, ollama_blob, ollama_manifest
from webui.library.catalog import Catalog
from webui.library.elsewhere import find_stores
from webui.library.store_places import StoreFolder, find_store_folders
from webui.types import ModelFile

LIBRARY = "registry.ollama.ai/library"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own: nothing of this machine's is found."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("webui.library.store_places.OLLAMA_SERVICE", home / "no service")
    for name in ("OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME",
                 "XDG_CONFIG_HOME", "APPDATA"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def ollama(home: Path) -> Path:
    return home / ".ollama" / "models"


async def listed(home: Path, *kinds: str) -> list[ModelFile]:
    return await Catalog(home / "own", [], include_starter=False, stores=kinds).scan()  # type: ignore[arg-type]


async def test_nothing_is_found_where_nothing_is(home: Path) -> None:
    assert find_stores() == []
    (home / ".ollama" / "models").mkdir(parents=True)
    assert find_stores() == [], "an empty store is not worth a question"


async def test_ollamas_models_have_the_names_that_people_know(home: Path, ollama: Path) -> None:
    ollama_manifest(ollama, f"{LIBRARY}/llama3.2/3b", ollama_blob(ollama, "1"))
    ollama_manifest(ollama, "registry.ollama.ai/somebody/tuned/q8", ollama_blob(ollama, "2"))
    ollama_manifest(ollama, "hf.co/org/Model-GGUF/Q4_K_M", ollama_blob(ollama, "3"))
    [store] = find_stores()
    assert (store.kind, store.name, store.num_models) == ("ollama", "Ollama", 3)
    assert store.size_bytes == sum(blob.stat().st_size for blob in (ollama / "blobs").iterdir())

    assert await listed(home) == [], "never taken without being switched on"
    models = await listed(home, "ollama")
    assert [model.name for model in models] == ["hf.co/org/Model-GGUF:Q4_K_M", "llama3.2:3b", "somebody/tuned:q8"]
    assert [model.id for model in models] == ["hf.co-org-Model-GGUF-Q4_K_M", "llama3.2-3b", "somebody-tuned-q8"]
    assert {(model.source, model.problem, model.can_delete) for model in models} == {("ollama", None, False)}
    catalog = Catalog(home / "own", [], include_starter=False, stores=["ollama"])
    assert (await catalog.find("llama3.2:3b")).path == ollama / "blobs" / ("sha256-" + "1" * 64)


async def test_two_tags_of_one_blob_are_one_model(home: Path, ollama: Path) -> None:
    digest = ollama_blob(ollama, "1")
    for tag in ("latest", "3b"):
        ollama_manifest(ollama, f"{LIBRARY}/llama3.2/{tag}", digest)
    assert [model.name for model in await listed(home, "ollama")] == ["llama3.2:3b"]


async def test_a_blob_of_an_early_version_has_a_colon_in_its_name(home: Path, ollama: Path) -> None:
    digest = ollama_blob(ollama, "1")
    (ollama / "blobs" / digest.replace(":", "-")).rename(ollama / "blobs" / digest)
    ollama_manifest(ollama, f"{LIBRARY}/old/latest", digest)
    assert [model.name for model in await listed(home, "ollama")] == ["old:latest"]


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../../secret", "../../secret.gguf", "sha256:" + "A" * 64, "sha256-" + "9" * 64, "", None, 5, ["x"], {}],
)
async def test_a_hostile_digest_leads_nowhere(home: Path, ollama: Path, digest: object) -> None:
    """Paths out of the folder, digests that are none, and one (nines) whose blob is not there."""
    write_model(home / "secret.gguf")
    ollama_blob(ollama, "1")
    ollama_manifest(ollama, f"{LIBRARY}/evil/latest", digest)
    assert await listed(home, "ollama") == []


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"{", b'{"layers": 7}', b'{"layers": [7]}', b"\xff\xfe", b"[" * 100_000, b" " * (2 << 20)],
)
async def test_a_hostile_manifest_is_passed_over(home: Path, ollama: Path, content: bytes) -> None:
    ollama_manifest(ollama, f"{LIBRARY}/good/latest", ollama_blob(ollama, "1"))
    ollama_manifest(ollama, f"{LIBRARY}/bad/latest", "").write_bytes(content)
    assert [model.name for model in await listed(home, "ollama")] == ["good:latest"]


async def test_what_is_no_manifest_is_not_read(home: Path, ollama: Path, tmp_path: Path) -> None:
    """Links, folders in a manifest's place, names with tricks, files at another depth, other layers."""
    digest = ollama_blob(ollama, "1")
    elsewhere = ollama_manifest(tmp_path / "elsewhere", f"{LIBRARY}/link/latest", digest)
    ollama_manifest(ollama, f"{LIBRARY}/deep/latest/more", digest)
    ollama_manifest(ollama, f"{LIBRARY}/shallow", digest)
    ollama_manifest(ollama, f"{LIBRARY}/-rm/latest", digest)
    ollama_manifest(ollama, f"{LIBRARY}/a\nb/latest", digest)
    ollama_manifest(ollama, f"{LIBRARY}/vision/latest", digest, media_type="application/vnd.ollama.image.projector")
    (ollama / "manifests" / LIBRARY / "link").mkdir()
    (ollama / "manifests" / LIBRARY / "link" / "latest").symlink_to(elsewhere)
    assert await listed(home, "ollama") == []


async def test_a_blob_that_is_no_model_is_listed_with_its_problem(home: Path, ollama: Path) -> None:
    digest = ollama_blob(ollama, "1")
    (ollama / "blobs" / digest.replace(":", "-")).write_bytes(b"not a GGUF at all, but long enough")
    ollama_manifest(ollama, f"{LIBRARY}/broken/latest", digest)
    [model] = await listed(home, "ollama")
    assert (model.name, model.problem is None) == ("broken:latest", False)


async def test_lm_studio_and_jan(home: Path) -> None:
    (home / "moved").mkdir()
    (home / ".lmstudio-home-pointer").write_text(f"{home / 'moved'}\n")
    for folder in (".lmstudio/models/org/Qwen3-GGUF", "moved/models/org/Gemma-GGUF", ".cache/lm-studio/models/a/b"):
        (home / folder).mkdir(parents=True)
    write_model(home / ".lmstudio/models/org/Qwen3-GGUF/Qwen3-4B-Q4_K_M.gguf")
    write_model(home / "moved/models/org/Gemma-GGUF/gemma-3-4b.gguf")
    jan = home / ".config/Jan/data/llamacpp/models/Jan-nano-Q8_0"
    jan.mkdir(parents=True)
    write_model(jan / "model.gguf")
    assert {store.kind: store.num_models for store in find_stores()} == {"lmstudio": 2, "jan": 1}
    assert [model.name for model in await listed(home, "lmstudio")] == ["gemma 3 4b", "Qwen3 4B"]
    [nano] = await listed(home, "jan")
    assert (nano.id, nano.name, nano.source) == ("Jan-nano-Q8_0", "Jan-nano-Q8_0", "jan")


async def test_the_hugging_face_cache(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    hub, source = home / "hf" / "hub", write_model(tmp_path / "source.gguf")
    cached_file(hub, "org/Qwen3-GGUF", "Qwen3-4B-Q4_K_M.gguf", source)
    cached_file(hub, "org/Big-GGUF", "Q8_0/Big-00001-of-00002.gguf", source)
    cached_file(hub, "org/Big-GGUF", "Q8_0/Big-00002-of-00002.gguf", source)
    cached_file(hub, "org/Big-GGUF", "README.md", source)
    (hub / "datasets--org--texts" / "snapshots").mkdir(parents=True)
    write_model(hub / "datasets--org--texts" / "snapshots" / "not-a-model.gguf")
    [store] = find_stores()
    assert (store.kind, store.num_models) == ("huggingface", 2)
    models = await listed(home, "huggingface")
    assert [(model.name, model.size_bytes // source.stat().st_size) for model in models] == [
        ("Big", 2),
        ("Qwen3 4B", 1),
    ]


async def test_a_link_out_of_the_cache_is_not_the_caches(home: Path, tmp_path: Path) -> None:
    hub = home / ".cache" / "huggingface" / "hub"
    secret = write_model(tmp_path / "secret.gguf")
    link = cached_file(hub, "org/evil", "model.gguf", secret)
    link.unlink()
    link.symlink_to(secret)
    assert await listed(home, "huggingface") == []


async def test_variables_move_the_stores_and_a_folder_counts_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("disk/ollama", ".ollama/models", "cache/hub"):
        (home / folder).mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_MODELS", "~/disk/ollama")
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "cache" / "hub"))
    monkeypatch.setenv("HF_HOME", str(home / "cache"))
    assert find_store_folders() == [
        StoreFolder("ollama", home / "disk" / "ollama"),
        StoreFolder("ollama", home / ".ollama" / "models"),
        StoreFolder("huggingface", home / "cache" / "hub"),
    ]
    assert find_store_folders(home, {"OLLAMA_MODELS": "\ud800\0"})[0].path == home / ".ollama" / "models"


async def test_a_store_that_goes_away_takes_its_models_along(home: Path, ollama: Path) -> None:
    ollama_manifest(ollama, f"{LIBRARY}/llama3.2/3b", ollama_blob(ollama, "1"))
    catalog = Catalog(home / "own", [], include_starter=False, stores=["ollama"])
    assert len(await catalog.scan()) == 1
    shutil.rmtree(home / ".ollama")
    assert await catalog.scan() == []

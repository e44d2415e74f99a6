"""What people write for a model, what the hub says of it, and what becomes of a hub that misbehaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.library.gguf_files import write_model
from tests.support.fake_hub import FakeHub
from webui.errors import (
    GlasshouseError,
    HubAnswerUnusable,
    HubBusy,
    HubDenied,
    HubNotFound,
    HubOffline,
    InvalidReference,
)
from webui.library.hub.client import HubClient
from webui.library.hub.origin import Origin, read_origin, write_origin
from webui.library.hub.reference import HubReference, UrlReference, parse_reference
from webui.library.hub.remote_header import read_remote_header
from webui.library.hub.values import HubFile
from webui.library.hub.variants import find_variant, group_variants
from webui.library.hub.verdict import judge_header, judge_size
from webui.library.memory_fit import Wishes
from webui.library.presets import load_presets
from webui.types import Gpu, Memory

GB = 10**9


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


# --- references ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("org/repo", HubReference(repo="org/repo")),
        (" org/repo:Q4_K_M ", HubReference(repo="org/repo", variant="Q4_K_M")),
        ("hf.co/org/repo:q8_0", HubReference(repo="org/repo", variant="q8_0")),
        ("https://huggingface.co/org/repo", HubReference(repo="org/repo")),
        ("https://huggingface.co/org/repo/tree/main", HubReference(repo="org/repo")),
        ("org/repo@v2:Q6_K", HubReference(repo="org/repo", variant="Q6_K", revision="v2")),
        (
            "https://huggingface.co/org/repo/resolve/main/Q4/M-00001-of-00003.gguf?download=true",
            HubReference(repo="org/repo", file="Q4/M-00001-of-00003.gguf"),
        ),
        ("org/repo/Model%20Q4.gguf", None),
        ("https://x.org/a/My%20M.gguf?k=1", UrlReference(url="https://x.org/a/My%20M.gguf?k=1", name="My M.gguf")),
        ("http://127.0.0.1:9000/x.gguf", UrlReference(url="http://127.0.0.1:9000/x.gguf", name="x.gguf")),
    ],
)  # fmt: skip
def test_everything_that_names_a_model_is_understood(text: str, reference: object) -> None:
    if reference is None:
        reference = HubReference(repo="org/repo", file="Model%20Q4.gguf")
    assert parse_reference(text) == reference


@pytest.mark.parametrize("reference", ["org/repo", "org/repo:Q4_K_M", "org/repo@v2:Q6_K", "org/repo/a/b.gguf"])
def test_a_reference_reads_as_it_was_written(reference: str) -> None:
    assert str(parse_reference(reference)) == reference


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "org/name"),
        ("llama3", "org/name"),
        ("org/repo:", "quantization"),
        ("/home/me/model.gguf", "file on this machine"),
        ("C:\\models\\x.gguf", "file on this machine"),
        ("../../etc/passwd", "file on this machine"),
        ("org/../repo", "org/name"),
        ("http://example.org/x.gguf", "https"),
        ("https://example.org/x.zip", ".gguf"),
        ("https://example.org/..%2f..%2fx.gguf/", ".gguf"),
        ("https://huggingface.co/datasets/org/data", "org/name"),
        ("https://[::1", "complete address"),
        ("ftp://example.org/x.gguf", "https"),
        ("org/repo\x00", "org/name"),
        ("a" * 5000, "org/name"),
    ],
)
def test_what_names_no_model_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(InvalidReference, match=hint):
        parse_reference(text)


# --- variants ------------------------------------------------------------------------------------------------------


def files(*names: str, size: int = 1000) -> list[HubFile]:
    return [HubFile(path=name, size_bytes=size) for name in names]


def test_files_are_grouped_by_quantization_and_the_sensible_one_is_the_default() -> None:
    variants = group_variants(
        [
            *files("Model-Q8_0.gguf", size=8000),
            *files("Model-Q4_K_M.gguf", size=4000),
            *files("Model-IQ2_XXS.gguf", size=2000),
            *files("BF16/Model-BF16-00001-of-00002.gguf", "BF16/Model-BF16-00002-of-00002.gguf", size=7000),
            *files("mmproj-Model-f32.gguf", size=900),
            *files("mmproj-Model-f16.gguf", size=500),
            *files("README.md", "Model.imatrix", "imatrix-Model.gguf", "lora-Model.gguf"),
        ]
    )
    assert [(each.label, each.size_bytes, len(each.files)) for each in variants] == [
        ("IQ2_XXS", 2000, 1),
        ("Q4_K_M", 4000, 1),
        ("Q8_0", 8000, 1),
        ("BF16", 14000, 2),
    ]
    assert [each.label for each in variants if each.is_default] == ["Q4_K_M"]
    assert all(each.mmproj is not None and each.mmproj.name == "mmproj-Model-f16.gguf" for each in variants)
    assert variants[0].total_bytes == 2500


def test_two_models_of_one_quantization_have_labels_of_their_own() -> None:
    variants = group_variants(files("Small-Q4_K_M.gguf", "LargerOne-Q4_K_M.gguf", "plain.gguf"))
    assert sorted(each.label for each in variants) == ["LargerOne-Q4_K_M", "Q4_K_M", "plain"]
    assert len({each.label for each in variants if each.is_default}) == 1
    found = find_variant(variants, "largerone-q4_k_m")
    assert found is not None and found.files[0].path == "LargerOne-Q4_K_M.gguf"


def test_hostile_names_and_half_models_are_left_out() -> None:
    hostile = files("../../x-Q4_0.gguf", "/etc/x-Q4_0.gguf", "a\\b-Q4_0.gguf", "con.gguf", "x\u202e-Q4_0.gguf", ".gguf")
    half = files("M-Q8_0-00001-of-00003.gguf", "M-Q8_0-00003-of-00003.gguf")
    empty = [HubFile(path="M-Q4_0.gguf", size_bytes=0)]
    assert group_variants([*hostile, *half, *empty]) == ()


# --- the hub -------------------------------------------------------------------------------------------------------


async def test_search_finds_the_most_fetched_first(hub: FakeHub) -> None:
    hub.add("a/Tiny-GGUF", {}, downloads=5)
    hub.add("b/Tiny-Better-GGUF", {}, downloads=500, is_gated=True, token="t")
    hub.add("c/Other-GGUF", {}, downloads=9000)
    found = await HubClient(hub.endpoint).search("tiny")
    assert [(each.repo, each.downloads, each.is_gated) for each in found] == [
        ("b/Tiny-Better-GGUF", 500, True),
        ("a/Tiny-GGUF", 5, False),
    ]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, b"", HubBusy),
        (429, b"", HubBusy),
        (403, b"{}", HubDenied),
        (200, b"<html>the hotel's page</html>", HubAnswerUnusable),
        (200, b"[]", HubAnswerUnusable),
        (200, b"[" * 100_000, HubAnswerUnusable),
        (200, json.dumps({"id": "me/x", "sha": "zzz"}).encode(), HubAnswerUnusable),
        (200, json.dumps({"id": "me/x", "sha": "0" * 40, "siblings": [{"size": 1}]}).encode(), HubAnswerUnusable),
        (200, json.dumps({"id": "me/x", "sha": "0" * 40, "lastModified": "yesterday"}).encode(), HubAnswerUnusable),
    ],
)
async def test_an_answer_that_is_none_is_told_in_a_sentence_and_at_once(
    hub: FakeHub, status: int, body: bytes, error: type[GlasshouseError]
) -> None:
    hub.api_answer = (status, body)
    client = HubClient(hub.endpoint)
    began = time.monotonic()
    with pytest.raises(error):
        await client.repo("me/x")
    if status != 200:
        with pytest.raises(error):
            await client.search("x")
    assert time.monotonic() - began < 2, "nothing is tried again behind our back"


async def test_hostile_numbers_do_not_get_through(hub: FakeHub) -> None:
    names = ["A-Q4_0.gguf", "B-Q4_1.gguf", "C-Q5_0.gguf", "D-Q8_0.gguf"]
    lies = {"A-Q4_0.gguf": {"size": -5}, "B-Q4_1.gguf": {"size": "many"}, "C-Q5_0.gguf": {"size": 1 << 60}}
    hub.add("me/x", dict.fromkeys(names, b"GGUF"), lies=lies | {"D-Q8_0.gguf": {"sha256": "../../x"}}, downloads=-1)
    repo = await HubClient(hub.endpoint).repo("me/x")
    assert [(each.label, each.files[0].sha256) for each in repo.variants] == [("Q8_0", None)]
    assert repo.downloads == 0


async def test_what_is_missing_private_or_gated_is_told_apart(hub: FakeHub) -> None:
    hub.add("me/private", {}, token="hf_right")
    for token, error in ((None, HubDenied), ("hf_wrong", HubNotFound)):
        with pytest.raises(error):
            await HubClient(hub.endpoint, token).repo("me/private")
    assert (await HubClient(hub.endpoint, "hf_right").repo("me/private")).is_private
    with pytest.raises(HubNotFound, match="branch"):
        await HubClient(hub.endpoint, "hf_right").repo("me/private", "nowhere")


async def test_nobody_there_is_said_at_once() -> None:
    with FakeHub() as gone:
        endpoint = gone.endpoint
    began = time.monotonic()
    with pytest.raises(HubOffline, match=r"127\.0\.0\.1 cannot be reached"):
        await HubClient(endpoint).search("x")
    assert time.monotonic() - began < 1


# --- does it run here ----------------------------------------------------------------------------------------------


def test_a_verdict_from_the_size_alone() -> None:
    laptop = Memory(ram_total=16 * GB, ram_free=8 * GB)
    assert judge_size(5 * GB, laptop, can_offload=True).fit == "fits"
    too_big = judge_size(12 * GB, laptop, can_offload=True)
    assert too_big.fit == "too_big"
    assert too_big.words == "Too big: needs about 13.2 GB, and 7.7 GB are free."
    gaming = Memory(
        ram_total=32 * GB, ram_free=20 * GB, gpus=(Gpu(name="GPU", total_bytes=12 * GB, free_bytes=11 * GB),)
    )
    assert judge_size(5 * GB, gaming, can_offload=True).words.startswith("Fits in the graphics memory")
    assert judge_size(18 * GB, gaming, can_offload=True).fit == "partly"
    assert judge_size(18 * GB, gaming, can_offload=False).words.startswith("Fits: ")


async def test_a_verdict_from_the_header_reads_only_the_beginning(hub: FakeHub, tmp_path: Path) -> None:
    content = write_model(tmp_path / "m.gguf").read_bytes() + bytes(3 << 20)
    hub.add("me/x", {"M-Q4_0.gguf": content})
    client = HubClient(hub.endpoint)
    url = client.file_url("me/x", "0" * 40, "M-Q4_0.gguf")
    header = read_remote_header(url, "M-Q4_0.gguf", len(content), None)
    assert header.num_layers == 2
    assert [each.range for each in hub.asked_for("M-Q4_0.gguf")] == ["bytes=0-1048575"]
    memory = Memory(ram_total=8 * GB, ram_free=4 * GB)
    verdict = judge_header(header, "M", memory, Wishes(), can_offload=False)
    assert (verdict.fit, verdict.is_exact) == ("fits", True)


# --- presets and origins -------------------------------------------------------------------------------------------


def test_the_presets_are_usable_and_serve_every_machine() -> None:
    presets = load_presets()
    assert len({each.id for each in presets}) == len(presets)
    for preset in presets:
        assert parse_reference(preset.reference) == HubReference(repo=preset.repo, variant=preset.variant)
        assert preset.size_bytes < preset.min_memory_gb * GB, f"{preset.id} does not fit what it is said to fit"
    for most in (4, 8, 16, 32):
        assert any(most // 2 < each.min_memory_gb <= most and each.kind == "chat" for each in presets)
    assert {"chat", "embedding", "rerank"} <= {each.kind for each in presets}
    families = ("Qwen", "Llama", "Gemma", "Phi", "Mistral", "SmolLM")
    assert all(any(family in each.name for each in presets) for family in families)


def test_an_origin_that_is_damaged_is_none(tmp_path: Path) -> None:
    model = tmp_path / "M.gguf"
    write_origin(model, Origin(sha256="a", size_bytes=3, fetched_at=1.0, repo="me/x"))
    assert read_origin(model) == Origin(sha256="a", size_bytes=3, fetched_at=1.0, repo="me/x")
    for damaged in (b"", b"{", b"[]", b'{"sha256": 5}', b"\xff"):
        (tmp_path / "M.gguf.origin.json").write_bytes(damaged)
        assert read_origin(model) is None

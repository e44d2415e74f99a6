"""Splitting, joining and editing copy tensors byte by byte; llama.cpp's own package reads what comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.library.gguf_files import raw_gguf, tensor
from tests.workbench.model_files import metadata, tensor_digests, write_wide_model
from webui.errors import CannotEdit, DamagedGguf, DiskFull, GlasshouseError, NotGguf, NothingToDo
from webui.library.gguf import read_header
from webui.library.gguf_file import parse_gguf_file
from webui.workbench.dispatch import run_request
from webui.workbench.protocol import (
    AnyFileRequest,
    EditMetadata,
    Estimate,
    Estimates,
    Join,
    Progress,
    Split,
    Written,
)


@pytest.fixture(scope="module", params=[None, 64], ids=["aligned-32", "aligned-64"])
def model(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    return write_wide_model(tmp_path_factory.mktemp("models") / "Wide.gguf", alignment=request.param)


def do(request: AnyFileRequest, report: Callable[[float, str], None] = lambda _, __: None) -> list[Path]:
    """Run it here; the result must have the size that was estimated."""
    estimates = run_request(Estimate(of=(request,)), lambda _, __: None)
    written = run_request(request, report)
    assert isinstance(estimates, Estimates) and isinstance(written, Written)
    paths = [Path(request.output_dir) / name for name in written.file_names]
    (estimate,) = estimates.items
    assert (estimate.problem, estimate.num_files) == (None, len(paths))
    assert estimate.size_bytes == written.size_bytes == sum(path.stat().st_size for path in paths)
    return paths


def split(model: Path, folder: Path, *, max_part_bytes: int = 300_000) -> list[Path]:
    return do(Split(source=str(model), output_dir=str(folder), file_name="Wide.gguf", max_part_bytes=max_part_bytes))


def edit(model: Path, folder: Path, **changes: object) -> Path:
    (path,) = do(EditMetadata(source=str(model), output_dir=str(folder), file_name="New.gguf", **changes))  # type: ignore[arg-type]
    return path


# --- splitting and joining ---------------------------------------------------------------------------------------


def test_parts_have_llama_cpps_names_and_keys_and_all_the_bytes(model: Path, tmp_path: Path) -> None:
    parts = split(model, tmp_path)
    count = len(parts)
    assert [part.name for part in parts] == [f"Wide-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1)]
    assert tensor_digests(*parts) == tensor_digests(model)
    for number, part in enumerate(parts):
        told = metadata(part)
        assert (told["split.no"], told["split.count"], told["split.tensors.count"]) == (number, count, 8)
        assert sum(parse_gguf_file(part).type_bytes.values()) <= 330_000
    assert "general.name" in metadata(parts[0]) and "general.name" not in metadata(parts[1])
    assert read_header(parts[1]).num_parts == count


def test_a_tensor_that_is_larger_than_a_part_gets_one_for_itself(model: Path, tmp_path: Path) -> None:
    parts = split(model, tmp_path, max_part_bytes=1)
    assert len(parts) == 8
    assert tensor_digests(*parts) == tensor_digests(model)


def test_split_and_joined_is_the_same_file_again(model: Path, tmp_path: Path) -> None:
    parts = split(model, tmp_path)
    (joined,) = do(Join(source=str(parts[0]), output_dir=str(tmp_path), file_name="Joined.gguf"))
    assert joined.read_bytes() == model.read_bytes()


def test_what_is_one_file_is_not_joined_and_what_is_small_is_not_split(model: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="one file already"):
        do(Join(source=str(model), output_dir=str(tmp_path), file_name="Joined.gguf"))
    with pytest.raises(NothingToDo, match="fits into one part"):
        split(model, tmp_path, max_part_bytes=10**9)


def test_a_missing_part_is_named(model: Path, tmp_path: Path) -> None:
    parts = split(model, tmp_path)
    parts[1].unlink()
    with pytest.raises(DamagedGguf, match="part 2 of"):
        do(Join(source=str(parts[0]), output_dir=str(tmp_path), file_name="Joined.gguf"))


# --- editing -------------------------------------------------------------------------------------------------------


def test_a_new_name_and_template_and_everything_else_as_it_was(model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    values = {"general.name": "Größer", "tokenizer.chat_template": "{{ bos_token }}" * 99, "custom.scale": 0.5}
    path = edit(model, tmp_path, values=values, removed=("llama.attention.layer_norm_rms_epsilon",))
    expected = metadata(model) | values
    del expected["llama.attention.layer_norm_rms_epsilon"]
    assert metadata(path) == expected
    assert tensor_digests(path) == tensor_digests(model)
    assert (read_header(path).name, model.read_bytes() == before) == ("Größer", True)


def test_a_split_model_is_edited_into_one_file(model: Path, tmp_path: Path) -> None:
    parts = split(model, tmp_path)
    path = edit(parts[0], tmp_path, values={"general.name": "One"})
    assert metadata(path) == metadata(model) | {"general.name": "One"}
    assert tensor_digests(path) == tensor_digests(model)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"values": {"general.alignment": 7}}, "how the file is built"),
        ({"values": {"split.count": 7}}, "how the file is built"),
        ({"values": {"llama.block_count": "many"}}, "must be a whole number"),
        ({"values": {"llama.block_count": -1}}, "too large"),
        ({"values": {"general.name": 3}}, "must be a text"),
        ({"values": {"custom.numbers": 3.0}}, "lists stay as they are"),
        ({"values": {"custom.scale": 1e60}}, "too large"),
        ({"values": {"spaces are bad": 1}}, "keys are words"),
        ({"values": {"general.name": "x" * 2_000_000}}, "longer than 1 MB"),
        ({"values": {"general.name": "\ud800"}}, "not text"),
        ({"removed": ("nothing.like.it",)}, "does not have it"),
    ],
)
def test_what_cannot_be_edited_is_refused_in_words(model: Path, tmp_path: Path, changes: object, words: str) -> None:
    with pytest.raises(CannotEdit, match=words):
        edit(model, tmp_path, **changes)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


# --- what is not there, not whole, or does not fit -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"This is no GGUF.", NotGguf),
        (raw_gguf(num_entries=1 << 40), DamagedGguf),
        (raw_gguf(tensors=(tensor("a", (1 << 40, 1 << 40)),)), DamagedGguf),
        (raw_gguf(tensors=(tensor("a", (64,)),)), DamagedGguf),
        (raw_gguf(tensors=(tensor("a", (8,)), tensor("a", (8,), offset=32)), data=bytes(64)), DamagedGguf),
    ],
)
def test_hostile_files_are_refused_before_anything_is_written(
    tmp_path: Path, content: bytes, kind: type[GlasshouseError]
) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(kind):
        edit(tmp_path / "bad.gguf", tmp_path, values={"general.name": "Good"})
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]


def test_a_full_disk_is_said_before_a_byte_is_written(model: Path, tmp_path: Path) -> None:
    request = EditMetadata(
        source=str(model),
        output_dir=str(tmp_path),
        file_name="New.gguf",
        values={"general.name": "New"},
        keep_free_bytes=1 << 60,
    )
    with pytest.raises(DiskFull):
        run_request(request, lambda _, __: None)
    assert not list(tmp_path.iterdir())


def test_progress_goes_from_nothing_to_everything(model: Path, tmp_path: Path) -> None:
    heard: list[Progress] = []
    request = Split(source=str(model), output_dir=str(tmp_path), file_name="Wide.gguf", max_part_bytes=300_000)
    run_request(request, lambda fraction, words: heard.append(Progress(fraction=fraction, words=words)))
    fractions = [each.fraction for each in heard]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.3 and fractions[-1] > 0.95
    assert heard[0].words.startswith("Writing Wide-00001-of-") and heard[-1].words == "Checking what was written"


def test_mutated_files_make_errors_or_whole_files_and_nothing_else(model: Path, tmp_path: Path) -> None:
    """A byte of the header is another one: what is not refused is written so that it can be read again."""
    whole = bytearray(model.read_bytes())
    random = Random(11)
    bad, num_refused = tmp_path / "bad.gguf", 0
    for number in range(150):
        place = random.randrange(8, 1200)
        content = whole[:]
        content[place] = random.randrange(256)
        bad.write_bytes(content)
        request = EditMetadata(
            source=str(bad), output_dir=str(tmp_path), file_name=f"{number}.gguf", values={"general.name": "New"}
        )
        try:
            run_request(request, lambda _, __: None)
        except GlasshouseError:
            num_refused += 1
        else:
            (tmp_path / f"{number}.gguf").unlink()
    assert 10 < num_refused < 150

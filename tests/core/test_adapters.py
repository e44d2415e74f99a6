"""LoRA adapters by name: which files a request can reach, and that what is equal looks equal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.library.adapter_files import write_adapter_file
from tests.library.gguf_files import write_model
from webui.core.adapters import AdapterChoice, find_adapters
from webui.errors import GlasshouseError, InvalidRequest, UnknownAdapter
from webui.library.catalog import Catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Two adapters and a model in the folder, one adapter outside."""
    folder = tmp_path / "models"
    folder.mkdir()
    write_adapter_file(folder / "Pirate-LoRA.gguf")
    write_adapter_file(folder / "Formal-LoRA.gguf")
    write_model(folder / "Base-7B.gguf")
    write_adapter_file(tmp_path / "secret.gguf")
    return Catalog(folder, [], include_starter=False)


async def test_an_id_a_file_name_and_a_name_lead_to_the_same_file(catalog: Catalog, tmp_path: Path) -> None:
    for name in ("Pirate-LoRA", "pirate-lora.gguf", "Pirate LoRA"):
        [adapter] = await find_adapters(catalog, [AdapterChoice(name, 0.5)])
        assert (adapter.path, adapter.scale) == (str(tmp_path / "models" / "Pirate-LoRA.gguf"), 0.5)


@pytest.mark.parametrize(
    "name",
    ["../secret.gguf", "/etc/passwd", "secret", "Base-7B", "", "Pirate-LoRA\0", "models/Pirate-LoRA.gguf", "x" * 9999],
)
async def test_nothing_but_an_adapter_of_the_list_is_reached(catalog: Catalog, name: str) -> None:
    with pytest.raises(UnknownAdapter) as caught:
        await find_adapters(catalog, [AdapterChoice(name)])
    assert len(str(caught.value)) < 400


async def test_a_path_is_no_name_even_when_it_is_right(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UnknownAdapter):
        await find_adapters(catalog, [AdapterChoice(str(tmp_path / "models" / "Pirate-LoRA.gguf"))])


async def test_what_has_no_effect_is_left_out_and_order_does_not_matter(catalog: Catalog) -> None:
    pirate, formal = AdapterChoice("Pirate-LoRA"), AdapterChoice("Formal-LoRA", 2.0)
    assert await find_adapters(catalog, [pirate, formal]) == await find_adapters(catalog, [formal, pirate])
    assert await find_adapters(catalog, [AdapterChoice("Formal-LoRA", 0.0)]) == ()


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [([AdapterChoice("Pirate-LoRA"), AdapterChoice("pirate-lora.gguf")], "named twice"),
     ([AdapterChoice("Pirate-LoRA", float("nan"))], "between -100 and 100"),
     ([AdapterChoice("Pirate-LoRA", 1e9)], "between -100 and 100"),
     ([AdapterChoice("Pirate-LoRA")] * 5, "at most 4 adapters")],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(catalog: Catalog, choices: list[AdapterChoice], sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        await find_adapters(catalog, choices)


async def test_a_file_that_was_replaced_is_another_adapter(catalog: Catalog, tmp_path: Path) -> None:
    [before] = await find_adapters(catalog, [AdapterChoice("Pirate-LoRA")])
    os.utime(tmp_path / "models" / "Pirate-LoRA.gguf", ns=(1, 1))
    [after] = await find_adapters(catalog, [AdapterChoice("Pirate-LoRA")])
    assert before != after
    (tmp_path / "models" / "Pirate-LoRA.gguf").unlink()
    with pytest.raises(GlasshouseError):
        await find_adapters(catalog, [AdapterChoice("Pirate-LoRA")])

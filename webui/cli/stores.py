"""glasshouse stores: models that Ollama, LM Studio, Jan and the Hugging Face cache have brought to this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from webui.cli.command import command
from webui.cli.door import Door
from webui.cli.output import Column, Output, size

_COLUMNS = (
    Column("STORE"),
    Column("MODELS", 1, "right"),
    Column("SIZE", 2, "right"),
    Column("USED"),
    Column("WHERE", 3),
)


def add_commands(app: typer.Typer) -> None:
    command(app, "stores")(stores)


async def stores(
    door: Door,
    output: Output,
    *,
    use: Annotated[list[str] | None, typer.Option(metavar="STORE", help="List its models too")] = None,
    leave: Annotated[list[str] | None, typer.Option(metavar="STORE", help="Do not, and do not offer them")] = None,
) -> None:
    """Show and choose other programs' models: read where they lie, never copied or changed."""
    for kind in use or []:
        await door.ask("PUT", "/manage/stores", {"kind": kind, "is_used": True})
    for kind in leave or []:
        await door.ask("PUT", "/manage/stores", {"kind": kind, "is_used": False})
    found = await door.get("/manage/stores")
    if output.as_json:
        output.json(found)
    elif not found:
        output.note("No other program's models are on this machine.")
    else:
        output.table(_COLUMNS, [_row(store) for store in found])


def offer_words(found: list[dict[str, Any]]) -> list[str]:
    """One line for each store that nobody has decided about."""
    return [
        f"{store['name']}: {_models(store['num_models'])}, {size(store['size_bytes'])}, already on this machine. "
        f"Use them where they lie: glasshouse stores --use {store['kind']}"
        for store in found
        if store["is_offered"]
    ]


def _models(number: int) -> str:
    return "1 model" if number == 1 else f"{number} models"


def _row(store: dict[str, Any]) -> list[str]:
    used = "yes" if store["is_used"] else "no"
    return [store["kind"], str(store["num_models"]), size(store["size_bytes"]), used, ", ".join(store["folders"])]

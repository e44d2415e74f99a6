"""glasshouse list, show, rm and cp: the models of this machine."""

from __future__ import annotations

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.text import Text

from webui.cli.command import command
from webui.cli.complete import complete_model
from webui.cli.door import Door, Refused
from webui.cli.model_facts import facts_of, shares_of
from webui.cli.output import Column, Output, clean, count, size
from webui.cli.stores import offer_words
from webui.errors import ConfigurationError

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="An id, file name, name or path", autocompletion=complete_model)
]

_COLUMNS = (
    Column("MODEL"),
    Column("SIZE", justify="right"),
    Column("TYPE", 1),
    Column("PARAMETERS", 3, "right"),
    Column("CONTEXT", 4, "right"),
    Column("WHERE", 5),
    Column("STATE", 2),
)


def add_commands(app: typer.Typer) -> None:
    command(app, "list")(list_models)
    command(app, "ls", hidden=True)(list_models)
    command(app, "show")(show)
    command(app, "rm")(remove)
    command(app, "cp")(copy)


async def list_models(
    door: Door,
    output: Output,
    *,
    words: Annotated[list[str] | None, typer.Argument(help="Only those whose name or tags hold these words")] = None,
) -> None:
    """List the models on this machine."""
    models = [model for model in await door.get("/manage/models") if _is_meant(model, words or [])]
    presets = [preset for preset in await door.get("/manage/named-presets") if _is_meant(preset, words or [])]
    if output.as_json:
        output.json(models)
        return
    for words_of_store in [] if words else offer_words(await door.get("/manage/stores")):
        output.note(words_of_store)
    if not models:
        output.note("No model has these words." if words else "No models yet. Get one: glasshouse search qwen")
        return
    output.table(_COLUMNS, [_row(model) for model in models])
    if presets:
        output.line("")
        output.table(
            (Column("PRESET"), Column("OF")), [(str(preset["name"]), str(preset["model"])) for preset in presets]
        )


async def show(
    door: Door,
    output: Output,
    *,
    model: ModelName,
    template: Annotated[bool, typer.Option("--template", help="Only the chat template, as it is")] = False,
) -> None:
    """Show what is known of a model."""
    model_id = await door.find_id(model)
    kept = await door.get(f"/manage/models/{model_id}")
    details = await door.get(f"/manage/models/{quote(str(kept['id']), safe='')}/details")
    if template:
        sys.stdout.write(_template(details, kept))
    elif output.as_json:
        output.json({**kept, "details": details})
    else:
        output.line(str(kept["name"]), "bold")
        output.facts(facts_of(kept, details))
        output.line("")
        output.table((Column("TENSORS"), Column("TYPE"), Column("SIZE", justify="right")), shares_of(details))


async def remove(
    door: Door,
    output: Output,
    *,
    names: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Models or presets", autocompletion=complete_model)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
) -> None:
    """Delete models from the disk, or forget presets."""
    presets = {
        str(preset["name"]).casefold(): str(preset["name"]) for preset in await door.get("/manage/named-presets")
    }
    removed: list[str] = []
    for name in names:
        if preset := presets.get(name.casefold()):
            await door.ask("DELETE", f"/manage/named-presets/{quote(preset, safe='')}")
            removed.append(preset)
            continue
        model = await door.get(f"/manage/models/{await door.find_id(name)}")
        if model["can_delete"] and not yes:
            _ask(f"Delete {clean(str(model['path']))} ({size(model['size_bytes'])})?")
        await door.ask("DELETE", f"/manage/models/{quote(str(model['id']), safe='')}")
        removed.append(str(model["id"]))
    if output.as_json:
        output.json({"removed": removed})
    else:
        output.line(f"Removed {', '.join(removed)}.")


async def copy(
    door: Door,
    output: Output,
    *,
    source: ModelName,
    name: Annotated[str, typer.Argument(help="The new name, which a request's model field takes")],
    system: Annotated[str | None, typer.Option(help="Its system prompt")] = None,
    ctx: Annotated[int | None, typer.Option(min=1, help="Its context in tokens")] = None,
    keep_alive: Annotated[str | None, typer.Option(help="How long it stays in memory: 5m, 0, -1")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a preset of this name")] = False,
) -> None:
    """Give a model a second name with settings of its own (a preset). The file is not copied."""
    presets = await _presets(door)
    if name.casefold() in presets and not force:
        raise Refused(f"There is a preset named “{name}” already. Take another name, or --force.", "exists", 409)
    if preset := presets.get(source.casefold()):
        model_id, defaults = preset["model"], preset["defaults"]
    else:
        model = await door.get(f"/manage/models/{await door.find_id(source)}")
        model_id, defaults = model["id"], model["defaults"]
    given = {"system_prompt": system, "ctx": ctx, "keep_alive": keep_alive}
    changed = defaults | {field: value for field, value in given.items() if value is not None}
    body = {"model": model_id, "defaults": {field: value for field, value in changed.items() if value is not None}}
    made = await door.ask("PUT", f"/manage/named-presets/{quote(name, safe='')}", body)
    if output.as_json:
        output.json(made)
    else:
        output.line(f"{made['name']} is {made['model']} with settings of its own.")


async def _presets(door: Door) -> dict[str, dict[str, Any]]:
    """By name in small letters."""
    return {str(preset["name"]).casefold(): preset for preset in await door.get("/manage/named-presets")}


def _is_meant(item: dict[str, Any], words: list[str]) -> bool:
    searched = " ".join([str(item.get("id", "")), str(item["name"]), *item.get("tags", [])]).casefold()
    return all(word.casefold() in searched for word in words)


def _row(model: dict[str, Any]) -> list[str | Text]:
    state = {"stopped": "", "ready": "loaded"}.get(str(model["state"]), str(model["state"]))
    is_broken = model["problem"] is not None
    name = Text(clean(str(model["id"])), style="red" if is_broken else "bold" if state else "")
    return [
        name,
        size(model["size_bytes"]),
        str(model["quantization"]),
        count(model["parameters"]),
        f"{model['context_train']:,}" if model["context_train"] else "",
        "" if model["source"] == "local" else str(model["source"]),
        "cannot be used" if is_broken else state or ("" if model["kind"] == "chat" else str(model["kind"] or "")),
    ]


def _template(details: dict[str, Any], kept: dict[str, Any]) -> str:
    text = kept["defaults"].get("chat_template") or details["chat_template"]
    if not text:
        raise Refused(f"{kept['name']} has no chat template of its own; ChatML stands in.", "no_template", 404)
    return str(text).encode("utf-8", "replace").decode().rstrip("\n") + "\n"


def _ask(question: str) -> None:
    """Ends the command unless the answer is yes; without a terminal nobody can be asked."""
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} Say so with --yes.")
    if not typer.confirm(question):
        raise typer.Exit(1)

"""glasshouse load, unload and ps: which models are in memory."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from webui.cli.command import command
from webui.cli.complete import complete_model
from webui.cli.door import Door, Refused
from webui.cli.models import ModelName
from webui.cli.output import Column, Meter, Output, size
from webui.errors import ConfigurationError

_LOOK_SECONDS = 0.3
_NOBODY = "No server is running, so nothing is loaded. Start one with: glasshouse serve"

_COLUMNS = (
    Column("MODEL"),
    Column("STATE"),
    Column("MEMORY", 1, "right"),
    Column("CONTEXT", 3, "right"),
    Column("DEVICE", 4),
    Column("ANSWERS", 2, "right"),
    Column("LEAVES", 2),
)


def add_commands(app: typer.Typer) -> None:
    command(app, "load")(load)
    command(app, "unload")(unload)
    command(app, "ps")(list_live)


async def load(
    door: Door,
    output: Output,
    *,
    model: ModelName,
    ctx: Annotated[int | None, typer.Option(min=256, help="Context in tokens")] = None,
    gpu_layers: Annotated[int | None, typer.Option(min=-1, help="Layers on the GPU; -1: all")] = None,
    kv_type: Annotated[str | None, typer.Option(help="f16, q8_0 or q4_0")] = None,
    keep_alive: Annotated[str | None, typer.Option(help="How long it stays when idle: 5m, 0, -1 (for ever)")] = None,
    beside: Annotated[bool, typer.Option("--beside", help="Beside the model that the page uses")] = False,
) -> None:
    """Load a model into the running server's memory."""
    if not door.is_server:
        raise Refused("No server is running that could keep a model loaded. Start one with: glasshouse serve")
    given = {"ctx": ctx, "gpu_layers": gpu_layers, "kv_type": kv_type, "keep_alive": keep_alive}
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None} | {"beside": beside}
    model_id = await door.find_id(model)
    with output.progress(f"Loading {model}") as meter:
        watching = asyncio.create_task(_watch(door, meter))
        try:
            loaded = await door.ask("POST", f"/manage/models/{model_id}/load", body)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    if output.as_json:
        output.json(loaded)
        return
    live = next((each for each in await door.get("/manage/ps") if each["id"] == loaded["id"]), None)
    output.line(f"{loaded['name']} is loaded.")
    if live and live["note"]:
        output.note(live["note"])


async def unload(
    door: Door,
    output: Output,
    *,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="The model", autocompletion=complete_model)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every model")] = False,
) -> None:
    """Unload a model, or all: their memory is free at once."""
    if (model is None) != everything:
        raise ConfigurationError("Name the model to unload, or say --all for every model.")
    if not door.is_server:
        output.json([]) if output.as_json else output.note(_NOBODY)
        return
    if model is None:
        answer = await door.ask("POST", "/unload_model")
        words = "Every model is unloaded."
    else:
        answer = await door.ask("POST", f"/manage/models/{await door.find_id(model)}/unload")
        words = f"{answer['name']} is unloaded."
    output.json(answer) if output.as_json else output.line(words)


async def list_live(door: Door, output: Output) -> None:
    """Show the models in memory."""
    models = await door.get("/manage/ps")
    if output.as_json:
        output.json(models)
    elif not models:
        output.note("Nothing is loaded: the first request loads a model." if door.is_server else _NOBODY)
    else:
        output.table(_COLUMNS, [_row(model) for model in models])


def _row(model: dict[str, Any]) -> list[str]:
    waiting = f" (+{model['num_waiting']})" if model["num_waiting"] else ""
    return [
        str(model["id"]),
        str(model["state"]),
        size(model["engine_bytes"]),
        f"{model['context_tokens']:,}" if model["context_tokens"] else "",
        str(model["device"] or ""),
        f"{model['num_running']}{waiting}",
        _leaves(model["seconds_left"]),
    ]


def _leaves(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"in {seconds / 60:.0f} min" if seconds >= 120 else f"in {seconds:.0f} s"


async def _watch(door: Door, meter: Meter) -> None:
    """The progress of a load, as the status tells it."""
    while True:
        status = await door.get("/status")
        if status["state"] == "starting":
            meter.show(status["progress"])
        await asyncio.sleep(_LOOK_SECONDS)

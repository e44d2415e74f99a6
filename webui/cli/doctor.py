"""glasshouse doctor: does a model work here, what can it do, how fast is it, how is it best loaded."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any

import typer
from rich.text import Text

from webui.cli.command import command
from webui.cli.door import Door, Refused
from webui.cli.models import ModelName
from webui.cli.output import Column, Meter, Output, clean

FOUND_TROUBLE = 5  #: the exit code when the model does not work
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}


def add_commands(app: typer.Typer) -> None:
    command(app, "doctor")(examine)


async def examine(
    door: Door,
    output: Output,
    *,
    model: ModelName,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long it may take")] = 60.0,
    trials: Annotated[
        bool, typer.Option("--trials/--no-trials", help="Also try settings, and keep what is faster")
    ] = True,
    unload: Annotated[bool, typer.Option("--unload", help="Unload other models when there is no room")] = False,
    last: Annotated[bool, typer.Option("--last", help="Only show what was found the last time")] = False,
) -> None:
    """Examine a model: does it work, what can it do, how fast is it here. Exits with 5 when it does not work."""
    model_id = await door.find_id(model)
    if last:
        report = await door.get(f"/manage/doctor/{model_id}")
    else:
        body = {"unload": unload, "seconds": seconds, "trials": trials}
        with output.progress(f"Examining {model}") as meter:
            report = await _watch(door, f"/manage/doctor/{model_id}", body, meter)
    if output.as_json:
        output.json(report)
    else:
        _show(output, report)
    if report["state"] == "fail":
        raise typer.Exit(FOUND_TROUBLE)


async def _watch(door: Door, path: str, body: dict[str, Any], meter: Meter) -> dict[str, Any]:
    """The report at the stream's end. Ctrl+C closes the stream, which ends the examination."""
    async with aclosing(door.events(path, body)) as events:
        async for event in events:
            if event["type"] == "DoctorProgress":
                meter.show(event["fraction"], event["words"])
            elif event["type"] == "DoctorDone":
                report: dict[str, Any] = event["report"]
                return report
    raise Refused("The examination ended without a report. The server's log says more.")


def _show(output: Output, report: dict[str, Any]) -> None:
    output.line(report["model_name"], "bold")
    output.line(report["summary"])
    output.line("")
    rows = [[_state(check["state"]), check["title"], check["words"]] for check in report["checks"]]
    output.table((Column(""), Column("CHECK"), Column("FOUND")), rows)
    better = [trial for trial in report["trials"] if trial["is_better"]]
    if better:
        output.line("")
        output.table(
            (Column("BETTER"), Column("WHY")),
            [[f"{each['setting']} {each['tried']}", each["words"]] for each in better],
        )
        output.note("Used from the next load on, wherever you have set nothing else.")
    if not report["is_current"]:
        output.note("The file, the machine or the library is another one since. Examine it again.")


def _state(state: str) -> Text:
    return Text(clean(state), style=_STYLES.get(state, ""))

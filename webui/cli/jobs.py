"""glasshouse quantize: a smaller copy of a model, made by the workbench."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from webui.cli.command import command
from webui.cli.door import Door, Refused
from webui.cli.models import ModelName
from webui.cli.output import Column, Output, size

_LOOK_SECONDS = 0.25


def add_commands(app: typer.Typer) -> None:
    command(app, "quantize")(quantize)


async def quantize(
    door: Door,
    output: Output,
    *,
    model: ModelName,
    to: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="Such as Q4_K_M; none: list them with sizes")
    ] = None,
    result: Annotated[str | None, typer.Option("--output", "-o", help="File name of the result")] = None,
    allow_requantize: Annotated[
        bool, typer.Option("--allow-requantize", help="Also from a quantized model, which loses quality")
    ] = False,
    imatrix: Annotated[str | None, typer.Option(help="An importance matrix in the models folder")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how large it would be")] = False,
) -> None:
    """Quantize a model into a new file."""
    if to is None:
        await _show_types(door, output, model)
        return
    body = {
        "kind": "quantize",
        "model": model,
        "type": to,
        "result": result,
        "allow_requantize": allow_requantize,
        "imatrix": imatrix,
    }
    estimate = await door.ask("POST", "/manage/jobs/estimate", body)
    if dry_run:
        output.json(estimate) if output.as_json else output.line(_estimate_words(to, estimate))
        return
    if not output.as_json:
        output.note(_estimate_words(to, estimate))
    job = await _wait(door, output, await door.ask("POST", "/manage/jobs", body))
    if output.as_json:
        output.json(job)
    else:
        output.line(f"{job['result']} is ready ({size(job['size_bytes'])}).")
        for note in job["notes"]:
            output.note(note)


async def _wait(door: Door, output: Output, job: dict[str, Any]) -> dict[str, Any]:
    """Until it has ended. Ctrl+C cancels it and leaves nothing behind."""
    try:
        with output.progress(str(job["title"])) as meter:
            while job["state"] in {"queued", "running"}:
                meter.show(job["progress"], f"{job['title']} · {job['words'] or 'waits for its turn'}")
                await asyncio.sleep(_LOOK_SECONDS)
                job = await door.get(f"/manage/jobs/{job['id']}")
    except asyncio.CancelledError:
        await door.ask("POST", f"/manage/jobs/{job['id']}/cancel")
        output.note("Cancelled; nothing is left of it.")
        raise
    if job["state"] != "done":
        raise Refused(str(job["error"] or "The job was cancelled."), str(job["error_code"] or "cancelled"), 409)
    return job


async def _show_types(door: Door, output: Output, model: str) -> None:
    types = await door.get("/manage/quantizations", model=model)
    if output.as_json:
        output.json(types)
        return
    columns = (Column("TYPE"), Column("SIZE", justify="right"), Column("NOTE", 1))
    output.table(columns, [[each["name"], size(each["estimate"]["size_bytes"]), each["description"]] for each in types])


def _estimate_words(to: str, estimate: dict[str, Any]) -> str:
    return str(estimate["problem"] or f"As {to} it takes {size(estimate['size_bytes'])}.")

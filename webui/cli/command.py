"""Makes a command of an async function: the options that all of them share, a door, an output, an exit code.

    @command(app, "list")
    async def list_models(door: Door, output: Output, *, tag: Annotated[str | None, typer.Option()] = None) -> None:

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no such thing, 4 no server or no right to ask it, 130 stopped
with Ctrl+C.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from webui.cli.door import Door, Place, Refused, Unreachable, open_door
from webui.cli.options import read_settings
from webui.cli.output import Output
from webui.errors import ConfigurationError, GlasshouseError

INTERRUPTED = 130  # as shells count it: 128 + SIGINT

Work = Callable[..., Coroutine[Any, Any, None]]

_COMMON: dict[str, tuple[Any, Any]] = {
    "as_json": (
        Annotated[bool, typer.Option("--json", help="Print the answer as JSON, for programs")],
        False,
    ),
    "server": (
        Annotated[
            str | None,
            typer.Option(
                envvar="GLASSHOUSE_SERVER", metavar="URL", help="Another machine's server", show_default=False
            ),
        ],
        None,
    ),
    "key": (
        Annotated[
            str | None,
            typer.Option(envvar="GLASSHOUSE_KEY", help="An API key of it, or its passphrase", show_default=False),
        ],
        None,
    ),
    "data_dir": (
        Annotated[Path | None, typer.Option(help="The data folder of the server", show_default=False)],
        None,
    ),
    "models_dir": (
        Annotated[Path | None, typer.Option(help="The models folder, while no server runs", show_default=False)],
        None,
    ),
}


def command(app: typer.Typer, name: str, **more: Any) -> Callable[[Work], Work]:
    """`work` gets a Door and an Output; the rest of its parameters are its own arguments and options."""

    def decorate(work: Work) -> Work:
        hints = get_type_hints(work, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(work).parameters.values()
            if parameter.name not in {"door", "output"}
        ]
        shared = [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for each, (annotation, default) in _COMMON.items()
        ]

        def run(**given: Any) -> None:
            common = {each: given.pop(each) for each in _COMMON}
            _run(work, given, common)

        run.__name__, run.__doc__ = work.__name__, work.__doc__
        run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
        app.command(name, **more)(run)
        return work

    return decorate


def _run(work: Work, given: dict[str, Any], common: dict[str, Any]) -> None:
    output = Output(as_json=common["as_json"])

    async def through_the_door() -> None:
        settings = read_settings({each: common[each] for each in ("data_dir", "models_dir")})
        async with open_door(Place(settings, common["server"], common["key"])) as door:
            await work(door, output, **given)

    try:
        asyncio.run(through_the_door())
    except GlasshouseError as error:
        typer.echo(f"glasshouse: {error}", err=True)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def exit_code(error: GlasshouseError) -> int:
    match error:
        case ConfigurationError():
            return 2
        case Unreachable():
            return 4
        case Refused(status=404):
            return 3
        case Refused(kind="sign_in_required" | "wrong_passphrase" | "too_many_attempts" | "forbidden_origin"):
            return 4
        case Refused(kind="invalid_api_key" | "missing_scope"):
            return 4
        case _:
            return 1


__all__ = ["Door", "Output", "command", "exit_code"]

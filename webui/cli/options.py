"""Command-line options made from the fields of Settings, so that a setting is written down once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from webui.config import Settings
from webui.errors import ConfigurationError


def read_settings(given: dict[str, Any]) -> Settings:
    """Settings from options that were given, over the environment and `.env`. Raises ConfigurationError."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None and value != []})
    except ValidationError as error:
        raise ConfigurationError("; ".join(_mistake(dict(each)) for each in error.errors())) from error
    except (SettingsError, OSError) as error:
        raise ConfigurationError(str(error)) from error


def with_settings_options(*only: str) -> Callable[[Callable[[Settings], None]], Callable[..., None]]:
    """A decorator: the command takes one option for each field of Settings (or for those named) and gets Settings."""

    def decorate(command: Callable[[Settings], None]) -> Callable[..., None]:
        def run(**given: Any) -> None:
            command(read_settings(given))

        parameters = [_option(name) for name in Settings.model_fields if not only or name in only]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _option(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    kind: Any = field.annotation
    flag = name.replace("_", "-")
    is_plain = field.default_factory is not None or field.default in (None, [], False, True)
    option = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        help=field.description if is_plain else f"{field.description} (default: {field.default})",
        metavar=_metavar(kind),
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _metavar(kind: Any) -> str:
    """The word for an option's value: PATH for `list[Path]`, NUMBER for `int | None`, nothing for a switch."""
    names = {bool: " ", int: "NUMBER", Path: "PATH"}
    return next((names[part] for part in (kind, *get_args(kind)) if part in names), "TEXT")


def _mistake(mistake: dict[str, Any]) -> str:
    """What is wrong with one setting, called as a person gave it: the option and the environment's name. What is wrong
    with several together is a sentence of our own that names them."""
    if not mistake["loc"]:
        return str(mistake["ctx"]["error"])
    name, sentence = str(mistake["loc"][0]), mistake["msg"]
    return f"--{name.replace('_', '-')} (GLASSHOUSE_{name.upper()}): {sentence[:1].lower()}{sentence[1:]}"

"""What commands show: tables for people, JSON for programs, progress on stderr.

Names come from files and from the hub, so nothing of them reaches a terminal as an escape sequence or as markup.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from webui.errors import format_bytes

_PIPE_WIDTH = 500  # nobody looks: nothing is cut


class Column(NamedTuple):
    """`rank`: columns of a higher one go first when the terminal is narrow."""

    title: str
    rank: int = 0
    justify: Literal["left", "right"] = "left"


class Output:
    """`as_json`: stdout gets the server's own JSON and nothing else."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)

    @property
    def is_terminal(self) -> bool:
        return self._out.is_terminal

    def json(self, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False, indent=2 if self.is_terminal else None)
        sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")

    def line(self, text: str, style: str = "") -> None:
        self._out.print(Text(clean(text), style=style))

    def note(self, text: str) -> None:
        """On stderr: what is not the result."""
        self._err.print(Text(clean(text)))

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> None:
        cells = [[each if isinstance(each, Text) else Text(clean(each)) for each in row] for row in rows]
        shown = self._fitting(columns, cells)
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for index in shown:
            table.add_column(columns[index].title, justify=columns[index].justify, overflow="fold")
        for row in cells:
            table.add_row(*(row[index] for index in shown))
        self._out.print(table)

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Names and what there is to say; what is empty is left out."""
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts:
            if value:
                table.add_row(name, Text(clean(value)))
        self._out.print(table)

    @contextmanager
    def progress(self, text: str) -> Iterator[Meter]:
        """A bar on stderr while something goes on, gone when it is over; nothing where nobody looks."""
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
        is_shown = self._err.is_terminal and not self.as_json
        with Progress(*columns, console=self._err, transient=True, disable=not is_shown) as progress:
            yield Meter(progress, clean(text))

    def _fitting(self, columns: Sequence[Column], cells: Sequence[Sequence[Text]]) -> list[int]:
        """The columns to show: the least important ones go until the rest fits."""
        widths = [
            2 + max([len(column.title), *(row[index].cell_len for row in cells)])
            for index, column in enumerate(columns)
        ]
        shown = list(range(len(columns)))
        while sum(widths[index] for index in shown) > self._out.width + 2:
            last = max(shown, key=lambda index: columns[index].rank)
            if columns[last].rank == 0:
                break
            shown.remove(last)
        return shown


class Meter:
    """A bar that is told how far it is, 0 to 1, and what to say."""

    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self._task = progress.add_task(text, total=1.0)

    def show(self, fraction: float, text: str | None = None) -> None:
        if text is None:
            self._progress.update(self._task, completed=fraction)
        else:
            self._progress.update(self._task, completed=fraction, description=clean(text))


def clean(text: str) -> str:
    """Without what would act on a terminal: escape sequences, marks that turn the direction of writing around."""
    return "".join(each if each.isprintable() or each == "\n" else "�" for each in text)


def size(count: int | None) -> str:
    return format_bytes(count) if count else ""


def count(number: int | None) -> str:
    """135M, 7.2B: parameters as people say them."""
    for unit, one in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number and number >= one:
            value = number / one
            return f"{value:.0f}{unit}" if value >= 100 or unit in {"M", "k"} else f"{value:.1f}{unit}"
    return str(number) if number else ""


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    return console

"""From reports to `docs/compatibility.md`: a table of ticks, and below it why there is none. Never written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from glasshouse_compat.clients import CHECKS, CLIENTS, Client
from glasshouse_compat.running import Report
from webui import __version__

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
_INTRODUCTION = """\
# Compatibility

Real clients, unmodified, in environments of their own, against a real server with the starter model. `compat/run` asks
them all again and writes this page; the scripts, which read like demos, are in [compat/clients](../compat/clients).
"""


def write_page(reports: Mapping[str, Report]) -> Path:
    """The path of the page."""
    PAGE.write_text("\n".join(_lines(reports)) + "\n", encoding="utf-8")
    return PAGE


def _lines(reports: Mapping[str, Report]) -> Iterator[str]:
    yield _INTRODUCTION
    days = sorted({report.day for report in reports.values()})
    yield f"Glasshouse {__version__}, {' to '.join(dict.fromkeys([days[0], days[-1]]))}."
    yield "✓ works · ✗ fails, the reason is below · – the client has nothing for it.\n"
    yield f"| Client | speaks | {' | '.join(check.title for check in CHECKS)} |"
    yield f"| --- | --- |{' :-: |' * len(CHECKS)}"
    for client in CLIENTS:
        yield _row(client, reports[client.name])
    yield "\n## What is checked\n"
    for check in CHECKS:
        yield f"- **{check.title}**: {check.about}"
    yield from _section("What fails", _notes(reports, "failed"))
    yield from _section("What the clients have nothing for", _notes(reports, "absent"))
    yield from _section("How soon the slot is free after a hang-up", _notes(reports, "passed"))


def _row(client: Client, report: Report) -> str:
    marks = []
    for check in CHECKS:
        mark = "✓" if check.name in report.passed else "–" if check.name in report.absent else "✗"
        marks.append(mark)
    versions = ", ".join(report.versions.values())
    return f"| {client.name} {versions} | {client.speaks} | {' | '.join(marks)} |"


def _notes(reports: Mapping[str, Report], outcome: str) -> Iterator[str]:
    titles = {check.name: check.title for check in CHECKS}
    for name, report in reports.items():
        if report.problem and outcome == "failed":
            yield f"- {name}: {report.problem}"
        for check, note in getattr(report, outcome).items():
            if note:
                yield f"- {name}, {titles[check]}: {note}"


def _section(title: str, notes: Iterator[str]) -> Iterator[str]:
    lines = list(notes)
    if lines:
        yield f"\n## {title}\n"
        yield from lines

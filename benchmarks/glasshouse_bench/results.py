"""What a run brought, as values and as JSON. Raw figures of every round are kept; medians are made from them later."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """The figures of one scenario on one contestant in one round."""

    model: str
    scenario: str
    contestant: str
    round: int
    figures: dict[str, float]


@dataclass(frozen=True)
class Failure:
    """A scenario that could not be measured on a contestant (or a contestant that cannot be measured at all: no model
    and no scenario then), and why."""

    contestant: str
    reason: str
    model: str = ""
    scenario: str = ""


@dataclass
class Results:
    """One run. `contestants` holds title and version by key, `models` the titles, `machine` what it ran on."""

    machine: dict[str, str]
    settings: dict[str, str]
    models: dict[str, str] = field(default_factory=dict)
    contestants: dict[str, dict[str, str]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def values(self, model: str, scenario: str, contestant: str, metric: str) -> dict[int, float]:
        """One metric by round."""
        return {
            record.round: record.figures[metric]
            for record in self.records
            if (record.model, record.scenario, record.contestant) == (model, scenario, contestant)
            and metric in record.figures
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_results(paths: Iterable[Path]) -> Results:
    """One or more runs of the same machine as one; of a scenario that ran in several, the last run counts."""
    merged: Results | None = None
    for path in paths:
        data = json.loads(path.read_text())
        data["records"] = [Record(**record) for record in data["records"]]
        data["failures"] = [Failure(**failure) for failure in data["failures"]]
        newer = Results(**data)
        merged = newer if merged is None else _merge(merged, newer)
    if merged is None:
        raise ValueError("no results were given")
    return merged


def _merge(older: Results, newer: Results) -> Results:
    redone = {(record.model, record.scenario) for record in newer.records}
    return Results(
        machine=newer.machine,
        settings=newer.settings,
        models=older.models | newer.models,
        contestants=older.contestants | newer.contestants,
        records=[r for r in older.records if (r.model, r.scenario) not in redone] + newer.records,
        failures=[f for f in older.failures if (f.model, f.scenario) not in redone] + newer.failures,
    )

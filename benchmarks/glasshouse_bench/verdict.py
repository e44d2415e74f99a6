"""Holds the figures of a run against the bars: which of llama.cpp's servers was the best, and what the ratio is."""

from __future__ import annotations

from dataclasses import dataclass

from glasshouse_bench.contestants import CONTESTANTS
from glasshouse_bench.results import Results
from glasshouse_bench.scenarios import Against, Bar, Scenario
from glasshouse_bench.statistics import Summary, ratio, summarize

_OURS = "glasshouse"
_REFERENCES = tuple(contestant.key for contestant in CONTESTANTS if contestant.is_reference)


@dataclass(frozen=True)
class Verdict:
    """One row of the table. `other` is what ours was held against (None: nothing); `outcome` the ratio, or the figure
    itself. Without our figures, or without anything to hold them against, there is no outcome."""

    bar: Bar
    ours: Summary | None
    other: Summary | None
    other_key: str
    outcome: Summary | None

    @property
    def is_met(self) -> bool | None:
        """None: it was not measured."""
        return None if self.outcome is None else self.bar.is_met(self.outcome.median)


def judge(results: Results, model: str, scenario: Scenario, bar: Bar) -> Verdict:
    """The verdict on one bar with one model."""
    ours = results.values(model, scenario.key, _OURS, bar.metric)
    if bar.against is Against.NOTHING:
        summary = summarize(list(ours.values())) if ours else None
        return Verdict(bar, summary, None, "", summary)
    if bar.against is Against.OURSELVES:
        other_key, others = _OURS, results.values(model, scenario.key, _OURS, bar.baseline)
    else:
        other_key, others = _best_reference(results, model, scenario, bar)
    rounds = sorted(ours.keys() & others.keys())
    return Verdict(
        bar=bar,
        ours=summarize(list(ours.values())) if ours else None,
        other=summarize(list(others.values())) if others else None,
        other_key=other_key,
        outcome=ratio([ours[number] for number in rounds], [others[number] for number in rounds]) if rounds else None,
    )


def _best_reference(results: Results, model: str, scenario: Scenario, bar: Bar) -> tuple[str, dict[int, float]]:
    """The build and KV mode of llama.cpp's server whose median is the best for it."""
    measured = {key: results.values(model, scenario.key, key, bar.metric) for key in _REFERENCES}
    measured = {key: values for key, values in measured.items() if values}
    if not measured:
        return "", {}
    choose = max if bar.at_least else min
    best = choose(measured, key=lambda key: summarize(list(measured[key].values())).median)
    return best, measured[best]

"""The figures as Markdown: `docs/performance.md`. It computes nothing but roundings."""

from __future__ import annotations

from glasshouse_bench.results import Results
from glasshouse_bench.scenarios import SCENARIOS, Against, Bar, Scenario
from glasshouse_bench.statistics import Summary, summarize
from glasshouse_bench.verdict import Verdict, judge

_INTRODUCTION = """\
# Performance

<!-- Written by benchmarks/run. Change the words in benchmarks/glasshouse_bench/table.py, not here. -->

![Glasshouse beside llama.cpp's own server](images/performance.svg)

Every figure comes from one command, [`benchmarks/run`](../benchmarks/README.md). It installs the peers from PyPI and
npm, starts each as a server on this machine, and asks them the same questions in turns through the same small client.
A figure is the median of {rounds} rounds, with the range in brackets. A ratio is made round by round.
"""

_METHOD = """\
## How it is measured

- **The same for everybody**: the GGUF, {threads} threads, {slots} slots of {context} tokens, f16 KV, flash attention
  where the server has it, greedy sampling, a fixed number of tokens, the end token ignored. The clients share the
  machine with the servers.
- **Tokens** are counted by each server's own `usage`. **Decoding speed** is the tokens after the first by the time
  between the first and the last. **Together** means: all tokens of all answers by the time from the first token of
  anybody to the last token of anybody: whoever begins to answer early reads the other questions in that time. **Time to
  first token** runs from the question to the first piece of text.
- **llama.cpp's own server** is measured twice: in the wheel of [xllamacpp](https://pypi.org/project/xllamacpp/), which
  is compiled for every processor, and compiled on this machine from the source that llama-cpp-python carries, as our
  engine is. Its prompt cache is on. Each bar is held against whichever of them does better in that row; where eight
  people have a long history, each also runs with one unified KV.
- **Glasshouse** runs as `glasshouse serve` starts it, but guesses nothing ahead: no peer does so by default, and greedy
  answers of small models are easy to guess. What the API has no word for (drafts, titles, state on disk, who asks) is
  asked of its engine process directly.
- **SmolLM2** is bound by arithmetic on a processor; the random model has the shape of Qwen2.5-1.5B at Q4_K_M and is
  bound by memory, as real models are.
- The scheduler's share is everything between two steps that is not inside llama.cpp. The engine's memory is what no
  file stands behind, less the KV of the tokens in use and the weights that llama.cpp lays out anew.
"""

_REASONS = """\
## Where others are ahead, and why

Most of an answer is spent inside llama.cpp, which is the same for us and for its own server; the rest is what differs.

- **One person.** SmolLM2 takes some 6 ms for a token. Between two tokens our engine spends 0.2–0.3 ms in Python when it
  is alone, and 0.4–0.6 ms as part of the server, whose web process needs 0.1 ms for each token of the same two cores,
  while the threads of llama.cpp wait. llama.cpp's server does all of it in C++. Where a token takes 30 ms, as with the
  larger model, the same work is below 2 %, and what is left of the difference is within the spread of the rounds.
- **8 people.** Eight tokens a step share that work; the scheduler's own share is in the table. Each person's first
  tokens are read in short steps here, so that who comes in between does not wait.
- **8 people with a history.** Attention over eight separate memories is llama.cpp's own; a step takes as long as theirs
  within the spread. Against one memory for all, which others offer as the alternative, it is the faster one.
- **A paste's first token.** It is read in chunks, so that everybody else's answer goes on: 0.36 s a step for a small
  model, up to 1 s where a pass over the weights takes long. With SmolLM2 on two cores 512 tokens at once are read at
  379 tokens/s, 129 beside a writer at 345: what the bar on the longest gap allows costs a tenth, and the writer's own
  tokens the rest. The others read the paste first and let everybody wait for it, as the row above shows.
- **A second turn** reads the same few tokens everywhere and takes as long, within the spread.
- **Pasted 6 s before Enter.** All of the 6 s is used, and no more can be: the larger model needs 15 s for 2,000 tokens.
"""


def write_page(results: Results) -> str:
    """The whole page."""
    settings = results.settings
    parts = [_INTRODUCTION.format(**settings)]
    parts += [_bars_table(results, model) for model in results.models]
    parts += [_everybody_table(results, model) for model in results.models]
    parts += [_REASONS, _METHOD.format(**settings), _surroundings(results)]
    return "\n".join(part for part in parts if part)


def _bars_table(results: Results, model: str) -> str:
    lines = [
        f"## {results.models[model]}\n",
        "| What | Glasshouse | Held against | Outcome | Bar | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for scenario in SCENARIOS:
        for bar in scenario.bars:
            verdict = judge(results, model, scenario, bar)
            if verdict.ours is None and not _failures(results, model, scenario):
                continue  # it was not part of this run
            lines.append(_bar_row(results, verdict))
            lines += [f"| ↳ not measured: {reason} | | | | | |" for reason in _failures(results, model, scenario)]
    return "\n".join(lines) + "\n"


def _bar_row(results: Results, verdict: Verdict) -> str:
    bar = verdict.bar
    times = "" if bar.against is Against.NOTHING else " ×"
    cells = [
        bar.sentence,
        with_unit(verdict.ours, bar.unit),
        f"{with_unit(verdict.other, bar.unit)}{_whose(results, verdict)}" if verdict.other else "",
        f"{number(verdict.outcome.median)}{times}{spread(verdict.outcome)}" if verdict.outcome and times else "",
        f"{'≥' if bar.at_least else '≤'} {bar.limit:g}{times or f' {bar.unit}'}",
        {True: "met", False: "**not met**", None: "not measured"}[verdict.is_met],
    ]
    return f"| {' | '.join(cells)} |"


def _whose(results: Results, verdict: Verdict) -> str:
    if verdict.bar.against is Against.OURSELVES:
        return f", {verdict.bar.baseline.replace('_', ' ')}"
    return f", {results.contestants[verdict.other_key]['title']}"


def _everybody_table(results: Results, model: str) -> str:
    """Every contestant beside every other, for the scenarios that were asked of more than one."""
    rows = [(scenario, bar) for scenario in SCENARIOS for bar in scenario.bars if _is_shared(results, model, scenario)]
    if not rows:
        return ""
    lines = [
        f"### Everybody, {results.models[model]}\n",
        f"| | {' | '.join(contestant['title'] for contestant in results.contestants.values())} |",
        f"|---|{'---:|' * len(results.contestants)}",
    ]
    for scenario, bar in rows:
        cells = [_cell(results, model, scenario, key, bar) for key in results.contestants]
        lines.append(f"| {bar.sentence}, {bar.unit} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _is_shared(results: Results, model: str, scenario: Scenario) -> bool:
    asked = {
        record.contestant for record in results.records if (record.model, record.scenario) == (model, scenario.key)
    }
    return len(asked) > 1


def _cell(results: Results, model: str, scenario: Scenario, contestant: str, bar: Bar) -> str:
    values = results.values(model, scenario.key, contestant, bar.metric)
    if not values:
        return ""
    summary = summarize(list(values.values()))
    return f"{number(summary.median)}{spread(summary)}"


def _failures(results: Results, model: str, scenario: Scenario) -> list[str]:
    return [
        f"{results.contestants.get(failure.contestant, {}).get('title', failure.contestant)}: {failure.reason}"
        for failure in results.failures
        if (failure.model, failure.scenario) == (model, scenario.key)
    ]


def _surroundings(results: Results) -> str:
    lines = ["## What was measured, and where\n"]
    lines += [f"- {name}: {value}" for name, value in results.machine.items()]
    lines += [f"- {contestant['title']}: {contestant['version']}" for contestant in results.contestants.values()]
    lines += [
        f"- {failure.contestant} was not measured: {failure.reason}"
        for failure in results.failures
        if not failure.model
    ]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Three digits that mean something, and no more."""
    for limit, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"


def spread(summary: Summary) -> str:
    return "" if summary.rounds == 1 else f" ({number(summary.low)}–{number(summary.high)})"


def with_unit(summary: Summary | None, unit: str) -> str:
    return "" if summary is None else f"{number(summary.median)} {unit}{spread(summary)}"

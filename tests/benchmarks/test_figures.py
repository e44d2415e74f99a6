"""From raw figures to the page: clocks, medians, ratios, the choice of the best peer, the table and the picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from glasshouse_bench.chart import draw_chart
from glasshouse_bench.client import Answer, aggregate_tokens_per_second, longest_gap
from glasshouse_bench.results import Failure, Record, Results, read_results
from glasshouse_bench.scenarios import SCENARIOS, Scenario
from glasshouse_bench.statistics import ratio, summarize
from glasshouse_bench.table import number, write_page
from glasshouse_bench.verdict import Verdict, judge


def answer(*moments: float, tokens: int, asked_at: float = 0.0) -> Answer:
    return Answer(asked_at=asked_at, moments=list(moments), completion_tokens=tokens)


def scenario(key: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.key == key)


def results(*records: tuple[str, str, int, dict[str, float]]) -> Results:
    """A run with the model `tiny`; each record is scenario, contestant, round and figures."""
    return Results(
        machine={"Processor": "abacus"},
        settings={"rounds": "2", "threads": "2", "slots": "8", "context": "4,096"},
        models={"tiny": "Tiny"},
        contestants={
            key: {"title": key.title(), "version": "1"}
            for key in ("glasshouse", "llama-server", "xllamacpp", "node-llama-cpp")
        },
        records=[Record("tiny", name, contestant, number, figures) for name, contestant, number, figures in records],
    )


def verdict(run: Results, key: str) -> Verdict:
    return judge(run, "tiny", scenario(key), scenario(key).bars[0])


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_decoding_speed_leaves_the_first_token_out() -> None:
    one = answer(3.0, 4.0, 5.0, tokens=9, asked_at=1.0)
    assert (one.first_token_seconds, one.tokens_per_second) == (2.0, 4.0)


def test_together_is_all_tokens_from_anybodys_first_to_anybodys_last() -> None:
    assert aggregate_tokens_per_second([answer(1.0, 4.0, tokens=10), answer(2.0, 6.0, tokens=20)]) == 6.0


def test_a_gap_counts_also_when_it_began_before_or_ends_after() -> None:
    stream = answer(1.0, 2.0, 2.5, 7.0, 7.1, tokens=5)
    assert longest_gap(stream, since=2.2, until=2.6) == 4.5
    assert longest_gap(stream, since=3.0, until=6.0) == 4.5
    assert longest_gap(stream, since=1.5, until=2.4) == 1.0


# --- statistics ------------------------------------------------------------------------------------------------------


def test_a_summary_is_the_median_and_the_range() -> None:
    summary = summarize([3.0, 1.0, 10.0])
    assert (summary.median, summary.low, summary.high, summary.rounds) == (3.0, 1.0, 10.0, 3)
    with pytest.raises(ValueError, match="nothing"):
        summarize([])


def test_a_disturbed_round_cancels_out_of_a_ratio() -> None:
    assert ratio([100.0, 10.0, 100.0], [50.0, 5.0, 50.0]).median == 2.0


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_a_bar_is_held_against_the_best_of_llama_cpps_servers() -> None:
    run = results(
        ("OnePerson", "glasshouse", 0, {"speed": 90.0}),
        ("OnePerson", "llama-server", 0, {"speed": 100.0}),
        ("OnePerson", "xllamacpp", 0, {"speed": 80.0}),
        ("OnePerson", "node-llama-cpp", 0, {"speed": 500.0}),
    )
    found = verdict(run, "OnePerson")
    assert (found.other_key, found.is_met) == ("llama-server", False)
    assert found.outcome == summarize([0.9])


def test_of_waiting_times_the_shortest_is_the_best() -> None:
    run = results(
        ("SharedPrefix", "glasshouse", 0, {"first_token": 2.0}),
        ("SharedPrefix", "llama-server", 0, {"first_token": 10.0}),
        ("SharedPrefix", "xllamacpp", 0, {"first_token": 8.0}),
    )
    found = verdict(run, "SharedPrefix")
    assert (found.other_key, found.is_met) == ("xllamacpp", True)


def test_only_rounds_that_both_finished_are_compared() -> None:
    run = results(
        ("OnePerson", "glasshouse", 0, {"speed": 1000.0}),
        ("OnePerson", "glasshouse", 1, {"speed": 100.0}),
        ("OnePerson", "llama-server", 1, {"speed": 100.0}),
    )
    assert verdict(run, "OnePerson").outcome == summarize([1.0])


def test_some_bars_are_held_against_ourselves_and_some_against_nothing() -> None:
    run = results(
        ("Flood", "glasshouse", 0, {"idle": 0.1, "flooded": 0.15}), ("Title", "glasshouse", 0, {"tokens": 41.0})
    )
    flood, title = verdict(run, "Flood"), verdict(run, "Title")
    assert flood.outcome == summarize([0.15 / 0.1])
    assert (flood.is_met, title.is_met) == (True, False)


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdict(results(), "OnePerson").is_met is None


# --- the page --------------------------------------------------------------------------------------------------------

RUN = (
    ("OnePerson", "glasshouse", 0, {"speed": 190.0}),
    ("OnePerson", "glasshouse", 1, {"speed": 210.0}),
    ("OnePerson", "llama-server", 0, {"speed": 100.0}),
    ("OnePerson", "llama-server", 1, {"speed": 100.0}),
    ("Title", "glasshouse", 0, {"tokens": 20.0}),
)


def test_the_table_tells_figures_ratio_and_verdict() -> None:
    page = write_page(results(*RUN))
    row = (
        "| One person, decoding | 200 tokens/s (190–210) | 100 tokens/s (100–100), Llama-Server | 2.00 × (1.90–2.10) |"
    )
    assert f"{row} ≥ 1 × | met |" in page
    assert "| A title at any chat length: prompt tokens evaluated | 20.0 tokens |  |  | ≤ 40 tokens | met |" in page
    assert "Somebody" not in page, "a row that was not part of the run is left out"


def test_the_table_says_why_something_was_not_measured() -> None:
    run = results(*RUN)
    run.failures += [
        Failure("node-llama-cpp", "npm is not installed here"),
        Failure("glasshouse", "the engine ended", "tiny", "Lookup"),
    ]
    page = write_page(run)
    assert "- node-llama-cpp was not measured: npm is not installed here" in page
    assert "not measured: Glasshouse: the engine ended" in page


def test_the_picture_is_an_svg_with_the_figures_in_it() -> None:
    picture = ElementTree.fromstring(draw_chart(results(*RUN)))
    words = ["".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Tiny", "One person, decoding", "200 tokens/s", "100 tokens/s", "2.00 ×, more is better"} <= set(words)


def test_later_results_replace_the_scenarios_that_were_measured_again(tmp_path: Path) -> None:
    older, newer = tmp_path / "older.json", tmp_path / "newer.json"
    results(*RUN).write(older)
    results(("Title", "glasshouse", 0, {"tokens": 7.0})).write(newer)
    merged = read_results([older, newer])
    assert merged.values("tiny", "Title", "glasshouse", "tokens") == {0: 7.0}
    assert merged.values("tiny", "OnePerson", "glasshouse", "speed") == {0: 190.0, 1: 210.0}


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (99.96, "100.0"), (12.34, "12.3"), (1.234, "1.23")])
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_small_numbers_keep_three_decimals() -> None:
    assert number(0.0421) == "0.042"

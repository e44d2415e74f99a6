"""The doctor's sums and small judgements."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.core.doctor.fake_doctor import OPTIONS, PLAN
from webui.config import Settings
from webui.core.doctor.garble import measure_text, repetition, unprintable
from webui.core.doctor.json_check import find_json
from webui.core.doctor.limits import Budget, DoctorLimits
from webui.core.doctor.output_check import is_garbled
from webui.core.doctor.paired import compare
from webui.core.doctor.trial_plans import Machine, plan_trials
from webui.core.doctor.tuned_planner import fixed_by_person, with_tuning
from webui.core.doctor.words import count_words, join_words
from webui.core.neighbours import Neighbours
from webui.core.planning import Target
from webui.library.memory_fit import FitPlan
from webui.store.model_values import ModelDefaults
from webui.types import ModelFile, Tuning


def test_pairs_cancel_a_machine_that_slows_down() -> None:
    usual = [1.0, 2.0, 4.0, 3.0]
    compared = compare(usual, [each / 1.2 for each in usual])
    assert compared.ratio == pytest.approx(1.2)
    assert (compared.low, compared.high) == pytest.approx((1.2, 1.2))
    assert compared.is_better and compared.is_decided


def test_the_interval_is_students() -> None:
    compared = compare([math.e, math.e**2, math.e**3], [1.0, 1.0, 1.0])
    assert math.log(compared.ratio) == pytest.approx(2.0)
    assert math.log(compared.high) == pytest.approx(2.0 + 4.303 / math.sqrt(3)), "standard deviation 1, two degrees"


@pytest.mark.parametrize(
    ("tried", "is_better", "is_decided"),
    [
        ([0.5, 0.5], False, False),  # two rounds decide nothing
        ([0.99, 0.98, 0.99], False, True),  # clear, and not worth it
        ([1.3, 1.2, 1.3], False, True),
        ([0.5, 1.6, 0.9], False, False),  # noise: go on
        ([0.9, 0.91, 0.89], True, True),
    ],
)
def test_a_difference_must_be_clear_and_worth_it(tried: list[float], is_better: bool, is_decided: bool) -> None:
    compared = compare([1.0] * len(tried), tried)
    assert (compared.is_better, compared.is_decided) == (is_better, is_decided)


def test_garble_has_many_faces() -> None:
    fine = "The capital of France is Paris, which lies on the river Seine."
    assert not is_garbled(fine, measure_text(fine, [-1.0] * 12))
    assert is_garbled(fine, measure_text(fine, [-9.0] * 12)), "the model itself is surprised"
    assert is_garbled(fine, measure_text(fine, [math.nan] * 12))
    loop = "scrat " * 30
    assert is_garbled(loop, measure_text(loop, [-0.1] * 30))
    assert is_garbled("!!! ---", measure_text("!!! ---", [-1.0] * 4))
    odd = "a\ufffdb\x03c"
    assert unprintable(odd) == pytest.approx(2 / 5)
    assert unprintable("line\n\tand größer 👍") == 0


def test_repetition_is_seen_without_blanks_too() -> None:
    assert repetition("one two three four five six seven") == 0
    assert repetition("a b c d " * 10) > 0.8
    assert repetition("海海海海海海海海海海海海海海海海海海海海") > 0.8
    assert repetition("") == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure!\n```json\n{"a": [1, 2]}\n```\nThere you are.', {"a": [1, 2]}),
        ('<tool_call>\n{"name": "x"}\n</tool_call>', {"name": "x"}),
        ("{'a': 1}", None),
        ("no braces at all", None),
        ('{"a": ', None),
        ("[" * 5000, None),
    ],
)
def test_json_is_found_wherever_it_stands(text: str, value: object) -> None:
    assert find_json(text) == value


def test_waiting_costs_nothing() -> None:
    times = iter([0.0, 10.0, 10.0, 10.0])
    budget = Budget(DoctorLimits(seconds=20), clock=lambda: next(times))
    assert budget.used == 10
    budget.give_back(4)
    assert (budget.used, budget.left) == (6, 14)


class _Header:
    key_length = value_length = 64


class _Pace:
    reading, writing = 250.0, 50.0


def test_a_batch_that_is_never_full_is_not_tried() -> None:
    machine = Machine(physical_cores=4, logical_cpus=8)
    reason = plan_trials("batch_tokens", OPTIONS, _Header(), _Pace(), machine)  # type: ignore[arg-type]
    assert isinstance(reason, str) and "87 tokens" in reason
    plans = plan_trials("threads", OPTIONS, _Header(), _Pace(), machine)  # type: ignore[arg-type]
    assert [plan.tried.threads for plan in plans] == [8, 2]  # type: ignore[union-attr]


def test_sentences() -> None:
    assert [join_words(list("abc")[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert [count_words(number, "answer") for number in (1, 2)] == ["1 answer", "2 answers"]


# --- used when a model is loaded -------------------------------------------------------------------------------------

MODEL = ModelFile(id="small", name="Small", path=Path("small.gguf"), size_bytes=1, source="local")
ADVICE = Tuning(threads=2, kv_type="q8_0", speculate=False)


def planned(settings: Settings, target: Target, advice: Tuning = ADVICE) -> FitPlan:
    def planner(target: Target, _neighbours: Neighbours) -> FitPlan:
        options = msgspec.structs.replace(OPTIONS, kv_type=target.kv_type or OPTIONS.kv_type)
        return replace(PLAN, options=options)

    return with_tuning(planner, settings, lambda model: advice)(target, Neighbours())


def test_a_load_takes_what_was_measured() -> None:
    options = planned(Settings(_env_file=None), Target(MODEL)).options  # type: ignore[call-arg]
    assert (options.threads, options.kv_type, options.speculate) == (2, "q8_0", False)


def test_what_a_person_says_goes_first() -> None:
    by_flag = planned(Settings(threads=7, flash_attention="on", _env_file=None), Target(MODEL)).options  # type: ignore[call-arg]
    assert (by_flag.threads, by_flag.kv_type) == (OPTIONS.threads, "f16"), "the planner knows the flags"
    by_model = planned(Settings(_env_file=None), Target(MODEL, kv_type="q4_0")).options  # type: ignore[call-arg]
    assert (by_model.threads, by_model.kv_type) == (2, "q4_0")


def test_what_a_person_has_chosen_is_known(tmp_path: Path) -> None:
    draft = tmp_path / "draft.gguf"
    draft.touch()
    settings = Settings(draft_model=draft, _env_file=None)  # type: ignore[call-arg]
    assert fixed_by_person(settings, ModelDefaults()) == {"speculate"}
    assert fixed_by_person(settings, ModelDefaults(kv_type="q8_0")) == {"speculate", "kv_type", "flash_attention"}


def test_embedding_models_are_left_alone() -> None:
    model = msgspec.structs.replace(MODEL, kind="embedding")
    assert planned(Settings(_env_file=None), Target(model)).options == OPTIONS  # type: ignore[call-arg]

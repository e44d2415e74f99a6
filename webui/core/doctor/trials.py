"""Short timed trials of settings, one after the other, each against the best so far.

A trial alternates between two engines until the difference is clear, its share of the time is used up, or its rounds
are over. What wins is the usual from then on. A KV type that is not exact must also foresee a text as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from webui.core.doctor.paired import FEWEST_ROUNDS, Comparison, compare
from webui.core.doctor.samples import KNOWN_TEXTS, PROSE
from webui.core.doctor.shelf import EngineShelf
from webui.core.doctor.speed import Pace, greedy, make_prompt
from webui.core.doctor.subject import Answer, OutOfTime, Subject, ask, person, score
from webui.core.doctor.trial_plans import SETTINGS, TITLES, Machine, TrialPlan, plan_trials
from webui.errors import GlasshouseError
from webui.types import EngineOptions, SamplingParams, Trial, Tuning

_log = logging.getLogger(__name__)

MOST_WORSE = 0.01  #: share by which a coarser KV memory may foresee a text worse
_SECONDS_OF_READING = 0.4  #: of one measurement, by the speeds that are known
_SECONDS_OF_WRITING = 0.4
_MOST_SECONDS = 10.0
_FEWEST_TOKENS = 4
_COPY = f"Repeat this text word by word:\n\n{PROSE}"
_CHAT = "Tell me about a day at the sea."


@dataclass(slots=True)
class Trials:
    """`wants_memory`: the model would have a longer context if its KV memory were smaller. `fixed` are settings that
    the person has chosen."""

    subject: Subject
    shelf: EngineShelf
    options: EngineOptions
    pace: Pace
    machine: Machine
    fixed: frozenset[str]
    wants_memory: bool = False
    results: list[Trial] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)  #: settings without a trial, and why

    async def run(self, on_progress: Callable[[str], None]) -> Tuning:
        """Try what is worth it, and return what is better. Raises what the usual engine fails with."""
        changes: dict[str, object] = {}
        for number, setting in enumerate(SETTINGS):
            if setting in self.fixed:
                self.reasons[setting] = "you have set it."
                continue
            on_progress(f"Trying settings: {TITLES[setting].lower()}")
            share = self.subject.budget.left / (len(SETTINGS) - number)
            for plan in self._plans(setting):
                won = await self._try(plan, share)
                if won:
                    changes[setting] = getattr(plan.tried, setting)
                    self.options = plan.tried
        return msgspec.convert(changes, Tuning)

    def _plans(self, setting: str) -> list[TrialPlan]:
        usual = self.options if setting != "speculate" else msgspec.structs.replace(self.options, speculate=True)
        plans = plan_trials(setting, usual, self.subject.header, self.pace, self.machine)
        if isinstance(plans, str):
            self.reasons[setting] = plans
            return []
        return list(plans)

    async def _try(self, plan: TrialPlan, seconds: float) -> bool:
        """One trial within so many seconds; whether the tried way is to be used."""
        usual = self.options
        if plan.setting == "speculate":  # elsewhere it is off, so that steps are alike
            usual = msgspec.structs.replace(usual, speculate=True)
        try:
            compared = await self._compare(plan, usual, seconds)
            loss = await self._loss(usual, plan.tried) if plan.setting == "kv_type" and compared else 0.0
        except OutOfTime:
            compared, loss = None, 0.0
        except GlasshouseError as error:
            _log.warning("A trial of %s failed: %s", plan.setting, error)
            self.reasons[plan.setting] = f"{plan.value_of(plan.tried)} does not work here: {error.message}"
            await self.shelf.drop(plan.tried)
            await self.shelf.drop(usual)  # it may be the one that died
            return False
        if compared is None:
            self.reasons[plan.setting] = "there was no time left for it."
            return False
        won = self._is_worth_it(plan, compared, loss)
        self.results.append(_result(plan, usual, compared, won=won, loss=loss))
        await self.shelf.drop(usual if won else plan.tried)
        return won

    def _is_worth_it(self, plan: TrialPlan, compared: Comparison, loss: float) -> bool:
        if plan.setting == "kv_type":
            saves_memory = self.wants_memory and not compared.is_worse and compared.num_rounds >= FEWEST_ROUNDS
            return loss <= MOST_WORSE and (compared.is_better or saves_memory)
        return compared.is_better

    # --- timing ----------------------------------------------------------------------------------------------------

    async def _compare(self, plan: TrialPlan, usual: EngineOptions, seconds: float) -> Comparison | None:
        """None when the time did not suffice for the fewest rounds."""
        budget = self.subject.budget
        if budget.left <= 0:
            return None
        ends_at = budget.used + seconds
        durations: dict[str, list[float]] = {"usual": [], "tried": []}
        ways = {"usual": usual, "tried": plan.tried}
        for options in ways.values():  # the first step of an engine is never like the others
            await self._time(plan, options, 0)
        for number in range(1, budget.limits.trial_rounds + 1):
            began_at = budget.used
            order = ("usual", "tried") if number % 2 else ("tried", "usual")
            pair = {name: await self._time(plan, ways[name], number) for name in order}
            for name, duration in pair.items():
                durations[name].append(duration)
            compared = compare(durations["usual"], durations["tried"])
            took = budget.used - began_at
            is_over = budget.left < took or (number >= FEWEST_ROUNDS and budget.used + took > ends_at)
            if compared.is_decided or is_over:
                break
        return compared if compared.num_rounds >= FEWEST_ROUNDS else None

    async def _time(self, plan: TrialPlan, options: EngineOptions, number: int) -> float:
        """Seconds of the trial's work. Both ways get the same prompt in a round, another one in the next."""
        return await self.subject.quiet.undisturbed(lambda: self._time_once(plan, options, number))

    async def _time_once(self, plan: TrialPlan, options: EngineOptions, number: int) -> float:
        engine = await self.shelf.get(options)
        written = _tokens(self.pace.writing, _SECONDS_OF_WRITING, self.subject.budget.limits.written_tokens)
        if plan.work == "writing":
            seconds = 0.0
            for text in (_CHAT, _COPY):
                sampling = SamplingParams(temperature=0.7, seed=number, max_tokens=written, ignore_eos=True)
                answer = await ask(engine, (person(text),), sampling, seconds=_MOST_SECONDS)
                seconds += _seconds_per_token(answer)
            return seconds
        most = plan.tried.batch_tokens if plan.setting == "batch_tokens" else self.subject.budget.limits.prompt_tokens
        prompt = await make_prompt(engine, _tokens(self.pace.reading, _SECONDS_OF_READING, most), seed=number)
        answer = await ask(
            engine, (person(prompt.text),), greedy(written if plan.work == "both" else 1), seconds=_MOST_SECONDS
        )
        timings = answer.end.timings
        end = timings.total_seconds if plan.work == "both" else timings.first_token_seconds
        if answer.end.reason == "cancelled" or end <= timings.queued_seconds:
            raise OutOfTime
        return end - timings.queued_seconds

    async def _loss(self, usual: EngineOptions, tried: EngineOptions) -> float:
        """By which share the tried one foresees texts worse (negative: better)."""
        texts = (KNOWN_TEXTS["English"], PROSE)
        nats = []
        for options in (usual, tried):
            engine = await self.shelf.get(options)
            scored = [await score(engine, text) for text in texts]
            nats.append(sum(each.nats if each.nats is not None else float("inf") for each in scored))
        return nats[1] / nats[0] - 1 if nats[0] > 0 else float("inf")


def _tokens(tokens_per_second: float, seconds: float, most: int) -> int:
    return max(_FEWEST_TOKENS, min(most, int(tokens_per_second * seconds)))


def _seconds_per_token(answer: Answer) -> float:
    if answer.end.timings.tokens_per_second <= 0:
        raise OutOfTime
    return 1 / answer.end.timings.tokens_per_second


def _result(plan: TrialPlan, usual: EngineOptions, compared: Comparison, *, won: bool, loss: float) -> Trial:
    names = plan.value_of(usual), plan.value_of(plan.tried)
    gain = abs(compared.ratio - 1)
    if compared.is_better:
        words = f"{names[1]} is {gain:.0%} faster than {names[0]}"
    elif compared.is_worse:
        words = f"{names[1]} is {gain:.0%} slower than {names[0]}"
    else:
        words = f"no clear difference between {names[1]} and {names[0]}"
    if plan.setting == "kv_type":
        words += f"; a text is foreseen {abs(loss):.1%} {'worse' if loss >= 0 else 'better'}"
        words += ", and the memory it saves makes a longer context" if won and not compared.is_better else ""
    return Trial(
        setting=plan.setting,
        usual=names[0],
        tried=names[1],
        ratio=round(compared.ratio, 3),
        low=round(compared.low, 3),
        high=round(compared.high, 3),
        num_rounds=compared.num_rounds,
        is_better=won,
        words=f"{TITLES[plan.setting]}: {words}.",
    )

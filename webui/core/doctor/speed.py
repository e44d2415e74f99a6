"""How fast it is here: the field's figures pp512 (reading 512 tokens) and tg128 (writing 128), as they are served.

The tokens are counted and the seconds taken by the engine itself. Reading is timed from the request to the first token,
writing from the first token to the last; guessing ahead is off, as in llama-bench. A slow model reads and writes fewer
tokens, and the figures' names say how many.
"""

from __future__ import annotations

import json
import random
import statistics
from dataclasses import dataclass

from webui.core.doctor.engine import DoctorEngine
from webui.core.doctor.samples import WORDS
from webui.core.doctor.subject import Answer, OutOfTime, Subject, ask, person
from webui.engine.protocol import Render, Rendered
from webui.errors import format_bytes
from webui.types import Check, Figure, SamplingParams

TITLE = "Speed"
READING_SPEED = 7.0  #: tokens a second: about five words, which is how fast people read
FEWEST_REPETITIONS = 3
_SECONDS_OF_ONE = 2.0  #: one measurement should not take longer
_FIRST_PROMPTS = (16, 128)  #: tokens of the first tries, which tell how many more there may be
_FIRST_WRITTEN = 8
_QUICK_SECONDS = 0.5  #: after a first try of so long the next one may be larger
_FEWEST_TOKENS = 4
_MOST_SECONDS = 20.0  #: of one measurement, whatever was expected


@dataclass(frozen=True, slots=True)
class Pace:
    """Tokens a second."""

    reading: float
    writing: float


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text, and how many tokens it is within its template."""

    text: str
    num_tokens: int


async def check_speed(subject: Subject) -> tuple[Check, Pace]:
    """The check, and the speeds for those who plan trials. Raises OutOfTime."""
    limits, budget = subject.budget.limits, subject.budget
    if budget.left_for_checks <= 0:
        raise OutOfTime
    guess = await _first_try(subject)
    seconds = min(_SECONDS_OF_ONE, limits.seconds * budget.SPEED_SHARE / (2 * FEWEST_REPETITIONS))
    prompt = await make_prompt(subject.engine, _affordable(guess.reading, seconds, limits.prompt_tokens))
    written = _affordable(guess.writing, seconds, limits.written_tokens)
    reading: list[float] = []
    writing: list[float] = []
    ends_at = budget.used + limits.seconds * budget.SPEED_SHARE
    for number in range(limits.repetitions):
        if budget.used > ends_at and (number >= FEWEST_REPETITIONS or (number and budget.left_for_checks <= 0)):
            break
        reading.append(reading_speed(await _time(subject, prompt.text, 1)))
        writing.append(writing_speed(await _time(subject, WORDS[0], written + 1)))
    pace = Pace(statistics.median(reading), statistics.median(writing))
    is_close = prompt.num_tokens > 0.95 * limits.prompt_tokens  # words cannot always meet a number of tokens
    reading_name = f"pp{limits.prompt_tokens if is_close else prompt.num_tokens}"
    return _check(subject, pace, (_figure(reading_name, reading), _figure(f"tg{written}", writing))), pace


async def make_prompt(engine: DoctorEngine, num_tokens: int, seed: int = 0) -> Prompt:
    """A prompt of about so many tokens, never more, the template's own counted in."""
    words = random.Random(seed).choices(WORDS, k=max(1, num_tokens))  # noqa: S311 - no secret
    few = await _count_tokens(engine, "")
    all_of_them = await _count_tokens(engine, " ".join(words))
    count = int((num_tokens - few) * len(words) / max(1, all_of_them - few))
    while count > 0:
        prompt = " ".join(words[:count])
        counted = await _count_tokens(engine, prompt)
        if counted <= num_tokens:
            return Prompt(prompt, counted)
        count -= max(1, counted - num_tokens)
    return Prompt(words[0], await _count_tokens(engine, words[0]))


async def _count_tokens(engine: DoctorEngine, prompt: str) -> int:
    found = await engine.probe(Render(messages=json.dumps([{"role": "user", "content": prompt}])))
    return found.num_tokens if isinstance(found, Rendered) else 0


def greedy(num_tokens: int) -> SamplingParams:
    """So many tokens, whatever the model would like; choosing them costs next to nothing."""
    return SamplingParams(temperature=0, max_tokens=num_tokens, ignore_eos=True)


def reading_speed(answer: Answer) -> float:
    usage, timings = answer.end.usage, answer.end.timings
    seconds = timings.first_token_seconds - timings.queued_seconds
    if seconds <= 0 or not usage.completion_tokens:
        raise OutOfTime
    return (usage.prompt_tokens - usage.cached_tokens) / seconds


def writing_speed(answer: Answer) -> float:
    if answer.end.timings.tokens_per_second <= 0:
        raise OutOfTime
    return answer.end.timings.tokens_per_second


async def _time(subject: Subject, prompt: str, written: int) -> Answer:
    return await subject.quiet.undisturbed(
        lambda: ask(subject.engine, (person(prompt),), greedy(written), seconds=_MOST_SECONDS)
    )


async def _first_try(subject: Subject) -> Pace:
    """Also warms everything up: the first step after a load pays for pages and threads."""
    for num_tokens in _FIRST_PROMPTS:
        prompt = await make_prompt(subject.engine, num_tokens)
        answer = await _time(subject, prompt.text, _FIRST_WRITTEN)
        if answer.end.timings.first_token_seconds > _QUICK_SECONDS:
            break
    return Pace(reading_speed(answer), writing_speed(answer))


def _affordable(tokens_per_second: float, seconds: float, wanted: int) -> int:
    return max(_FEWEST_TOKENS, min(wanted, int(tokens_per_second * seconds)))


def _check(subject: Subject, pace: Pace, speeds: tuple[Figure, Figure]) -> Check:
    is_slow = pace.writing < READING_SPEED
    comfort = "slower than people read" if is_slow else "faster than people read"
    memory = subject.engine.memory_bytes
    return Check(
        name="speed",
        title=TITLE,
        state="warn" if is_slow else "ok",
        words=f"On this machine it reads {pace.reading:,.0f} tokens a second and writes {pace.writing:,.1f}, "
        f"{comfort}. It loads in {subject.load_seconds:.1f} s and takes {format_bytes(memory)} of RAM for one chat.",
        figures=(
            *speeds,
            Figure(label="load", value=round(subject.load_seconds, 2), unit="s"),
            Figure(label="RAM", value=memory, unit="bytes"),
        ),
    )


def _figure(label: str, speeds: list[float]) -> Figure:
    return Figure(
        label=label,
        value=round(statistics.median(speeds), 2),
        unit="tokens/s",
        low=round(min(speeds), 2),
        high=round(max(speeds), 2),
    )

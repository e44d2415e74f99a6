"""Which settings are worth a trial for this model on this machine, and why the others are not.

Sums and words only: what was measured so far is given, nothing is timed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from webui.core.doctor.speed import Pace
from webui.library.gguf import GgufHeader
from webui.types import EngineOptions

SETTINGS = ("threads", "batch_tokens", "flash_attention", "kv_type", "speculate")
TITLES = {
    "threads": "Threads",
    "batch_tokens": "Batch size",
    "flash_attention": "Flash attention",
    "kv_type": "KV type",
    "speculate": "Guessing ahead",
}
STEP_SECONDS = 0.35  #: the engine reads no more at once than fits in so long (engine/step_budget)
LARGEST_BATCH = 2048

Work = Literal["both", "reading", "writing"]


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """`tried` differs from the usual options in one setting; `work` is what it may make faster."""

    setting: str
    tried: EngineOptions
    work: Work

    def value_of(self, options: EngineOptions) -> str:
        value = getattr(options, self.setting)
        return ("on" if value else "off") if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the candidates depend on."""

    physical_cores: int
    logical_cpus: int


def plan_trials(
    setting: str, options: EngineOptions, header: GgufHeader, pace: Pace, machine: Machine
) -> Iterator[TrialPlan] | str:
    """The trials of one setting against these options, or the reason why there are none."""
    match setting:
        case "threads":
            return _threads(options, machine)
        case "batch_tokens":
            return _batches(options, pace)
        case "flash_attention":
            return _flash_attention(options)
        case "kv_type":
            return _kv_type(options, header)
        case _:
            off = msgspec.structs.replace(options, speculate=False)
            return iter((TrialPlan("speculate", off, "writing"),))


def _threads(options: EngineOptions, machine: Machine) -> Iterator[TrialPlan] | str:
    counts = {machine.physical_cores, machine.logical_cpus, max(1, machine.physical_cores // 2)} - {options.threads}
    if not counts:
        return "this machine has one processor."
    plans = [msgspec.structs.replace(options, threads=count) for count in sorted(counts, reverse=True)]
    return (TrialPlan("threads", plan, "both") for plan in plans)


def _batches(options: EngineOptions, pace: Pace) -> Iterator[TrialPlan] | str:
    in_a_step = int(pace.reading * STEP_SECONDS)
    if in_a_step < options.batch_tokens:
        return f"a step may take {STEP_SECONDS} s, in which {in_a_step:,} tokens are read here: a batch is never full."
    sizes = [size for size in (1024, LARGEST_BATCH) if options.batch_tokens < size < options.context_tokens]
    if not sizes:
        return "the context is no larger than a batch."
    plans = [msgspec.structs.replace(options, batch_tokens=size) for size in sizes]
    return (TrialPlan("batch_tokens", plan, "reading") for plan in plans)


def _flash_attention(options: EngineOptions) -> Iterator[TrialPlan] | str:
    if options.kv_type != "f16":
        return "the KV type needs it."
    other = msgspec.structs.replace(options, flash_attention="on" if options.flash_attention == "off" else "off")
    return iter((TrialPlan("flash_attention", other, "both"),))


def _kv_type(options: EngineOptions, header: GgufHeader) -> Iterator[TrialPlan] | str:
    if options.kv_type != "f16":
        return "it is quantized already."
    if options.flash_attention == "off":
        return "a quantized one needs flash attention, which is slower here."
    if header.key_length % 32 or header.value_length % 32:
        return "the heads of this model have lengths that only f16 can hold."
    return iter((TrialPlan("kv_type", msgspec.structs.replace(options, kv_type="q8_0"), "both"),))

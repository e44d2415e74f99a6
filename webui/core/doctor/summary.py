"""The words on the card: what an examination found, for somebody who reads one paragraph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from webui.core.doctor.trial_plans import TITLES
from webui.core.doctor.words import join_words
from webui.types import Check, CheckState, Figure, Trial, Tuning

_ORDER: tuple[CheckState, ...] = ("skipped", "ok", "warn", "fail")
_MUST_WORK = ("header", "tokenizer", "template", "output")
_ABILITIES = ("json", "tools")


def overall_state(checks: Iterable[Check]) -> CheckState:
    """The worst; but what a model merely cannot do by itself (JSON, tools) is no flaw of it."""
    states = (check.state for check in checks if check.name not in _ABILITIES or check.state == "fail")
    return max(states, key=_ORDER.index, default="skipped")


def summarize(checks: Sequence[Check], tuning: Tuning, *, thinks: bool) -> str:
    """Does it work, what can it do, how fast is it, what is recommended."""
    found = {check.name: check for check in checks}
    broken = [check for check in checks if check.state == "fail"]
    if broken:
        return broken[0].words
    doubts = [check.title.lower() for check in checks if check.state == "warn" and check.name in _MUST_WORK]
    words = [f"Works, with a doubt ({join_words(doubts)})." if doubts else "Works."]
    if (speed := found.get("speed")) is not None and speed.figures:
        words.append(_speed_words(*speed.figures[:2]))
    if all(found[name].state == "skipped" for name in _ABILITIES if name in found):
        return " ".join(words)
    abilities = [f"{check.title}: {_ability(check)}" for check in checks if check.name in _ABILITIES]
    words.append("; ".join([*abilities, f"Thinking: {'yes' if thinks else 'no'}"]) + ".")
    if (advice := describe_tuning(tuning)) != "":
        words.append(f"Recommended here: {advice}.")
    return " ".join(words)


def _speed_words(reading: Figure, writing: Figure) -> str:
    words = f"Here it reads {reading.value:,.0f} tokens a second"
    if writing.unit != reading.unit:  # it does not write
        return f"{words}."
    return f"{words} ({reading.label}) and writes {writing.value:,.1f} ({writing.label})."


def describe_tuning(tuning: Tuning) -> str:
    """ "1 thread, flash attention off"; empty where nothing is recommended."""
    words = []
    if tuning.threads is not None:
        words.append(f"{tuning.threads} {'thread' if tuning.threads == 1 else 'threads'}")
    if tuning.batch_tokens is not None:
        words.append(f"batches of {tuning.batch_tokens:,} tokens")
    if tuning.flash_attention is not None:
        words.append(f"flash attention {tuning.flash_attention}")
    if tuning.kv_type is not None:
        words.append(f"KV type {tuning.kv_type}")
    if tuning.speculate is not None:
        words.append(f"guessing ahead {'on' if tuning.speculate else 'off'}")
    return ", ".join(words)


def tuning_check(tuning: Tuning, trials: Sequence[Trial], reasons: dict[str, str]) -> Check:
    """What the trials found, and which settings were not tried."""
    advice = describe_tuning(tuning)
    words = [
        f"Recommended on this machine: {advice}; used from the next load on."
        if advice
        else "The usual settings are the fastest that were tried."
        if trials
        else "No settings were tried."
    ]
    words += [trial.words for trial in trials]
    words += [f"{TITLES[setting]} was not tried: {reason}" for setting, reason in reasons.items()]
    return Check(name="tuning", title="Settings", state="ok" if trials else "skipped", words=" ".join(words))


def _ability(check: Check) -> str:
    match check.state:
        case "ok":
            return "yes"
        case "skipped":
            return "not tried"
        case "warn":
            held = next((figure.value for figure in check.figures if "with a schema" in figure.label), 0)
            return "with a schema" if held else "no"
        case _:
            return "no"

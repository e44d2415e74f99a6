"""Smaller plans for when a load fails although it should have fitted, each with words for people."""

from __future__ import annotations

from dataclasses import dataclass

from webui.library.memory_fit import FitPlan


@dataclass(frozen=True, slots=True)
class FitStep:
    """`words` end a sentence such as “Trying again …”: "with 4 answers side by side instead of 8"."""

    words: str
    plan: FitPlan

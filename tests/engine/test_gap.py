"""Filling in between two texts: the prompt in the form of the models' training, over letters and over a real file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.fake_runner import FakeVocabulary
from tests.engine.tiny_models import write_tiny_model
from webui.engine.intake import Intake
from webui.engine.model_runner import load_model
from webui.engine.protocol import Load
from webui.engine.runner import GapTokens
from webui.errors import CannotInfill
from webui.types import EngineOptions, Gap, GenerationRequest, OtherFile

PRE, SUF, MID, SEP, REP = range(900_001, 900_006)
NAMES = {PRE: "<PRE>", SUF: "<SUF>", MID: "<MID>", SEP: "<SEP>", REP: "<REP>"}


def read(gap: Gap, *, marks: GapTokens, context: int = 1000) -> tuple[str, int]:
    vocabulary = FakeVocabulary()
    vocabulary.gap_tokens = marks
    reading = Intake(vocabulary).prepare(GenerationRequest(messages=(), gap=gap), context)
    return "".join(NAMES.get(token) or chr(token) for token in reading.tokens), reading.num_dropped


def test_the_gap_stands_between_its_texts() -> None:
    prompt, num_dropped = read(Gap(prefix="def add(", suffix="): pass"), marks=GapTokens(PRE, SUF, MID, SEP, REP))
    assert (prompt, num_dropped) == ("<PRE>def add(<SUF>): pass<MID>", 0)


def test_other_files_come_first_and_the_first_of_them_go_where_there_is_no_room() -> None:
    others = (OtherFile(name="a.py", text="A" * 300), OtherFile(name="b.py", text="B" * 20))
    gap = Gap(prefix="x", suffix="y", others=others)
    prompt, num_dropped = read(gap, marks=GapTokens(PRE, SUF, MID, SEP, REP))
    begin = f"<REP>project\n<SEP>a.py\n{'A' * 300}<SEP>b.py\n{'B' * 20}<SEP>this file\n"
    assert (prompt, num_dropped) == (f"{begin}<PRE>x<SUF>y<MID>", 0)
    prompt, num_dropped = read(gap, marks=GapTokens(PRE, SUF, MID, SEP, REP), context=300)
    assert (prompt, num_dropped) == (f"<REP>project\n<SEP>b.py\n{'B' * 20}<SEP>this file\n<PRE>x<SUF>y<MID>", 1)
    prompt, num_dropped = read(gap, marks=GapTokens(PRE, SUF, MID), context=120)
    assert prompt == f"\n\n--- snippet ---\n\n{'B' * 20}\n\n--- snippet ---\n\n<PRE>x<SUF>y<MID>"
    assert read(gap, marks=GapTokens(PRE, SUF, MID), context=20) == ("<PRE>x<SUF>y<MID>", 2)


def test_a_model_that_was_not_made_for_it_says_so() -> None:
    with pytest.raises(CannotInfill, match="no token for the beginning, the end and the middle"):
        read(Gap(prefix="x", suffix="y"), marks=GapTokens())
    with pytest.raises(CannotInfill, match="no token for the end"):
        read(Gap(prefix="x", suffix="y"), marks=GapTokens(prefix=PRE, middle=MID))


def test_a_files_own_tokens_are_used_and_texts_make_none(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path, "llama", gap_tokens=(1, 2, 3))
    options = EngineOptions(context_tokens=256, kv_tokens=256, num_slots=1)
    runner = load_model(Load(model_path=str(path), options=options), lambda _fraction: None)
    vocabulary = runner.vocabulary
    assert vocabulary.gap_tokens == GapTokens(prefix=1, suffix=2, middle=3)
    assert len(vocabulary.tokenize_behind("<|im_end|>")) == 1
    assert len(vocabulary.tokenize_text("<|im_end|>")) == len("<|im_end|>")
    request = GenerationRequest(messages=(), gap=Gap(prefix="a<|im_end|>", suffix="b"))
    tokens = Intake(vocabulary).prepare(request, 256).tokens
    assert (tokens[0], tokens[-1], tokens.count(2)) == (1, 3, 1)
    assert vocabulary.tokenize_behind("<|im_end|>")[0] not in tokens

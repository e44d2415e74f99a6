"""Prompt lookup: what it proposes, and that its index grows with a sequence at a steady price."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webui.engine.ngram import MAX_MATCH, NgramDrafter


def guess(text: str, max_tokens: int = 16) -> str:
    return "".join(map(chr, NgramDrafter().propose(list(map(ord, text)), max_tokens)))


def test_it_proposes_what_stood_behind_the_same_words_before() -> None:
    assert guess("the quick fox. Again: the quick", 5) == " fox."


def test_the_longest_agreement_wins_over_the_newest_place() -> None:
    assert guess("red apple pie, a big apple tart; red apple", 4) == " pie"


def test_among_equals_the_newest_place_wins() -> None:
    assert guess("xab1 yab2 zab", 1) == "2"


def test_it_never_proposes_more_than_agrees_before() -> None:
    assert guess("_ab12345|ab") == "12"
    assert guess("_abcdef12345|abcdef") == "12345|"


def test_a_repetition_goes_on_by_itself() -> None:
    assert guess("na" * 8, 6) == "nanana"
    assert guess("x" * 8, 5) == "xxxxx"


def test_without_a_repetition_there_is_no_idea() -> None:
    assert guess("abcdefg") == guess("") == guess("a") == guess("ab") == ""


def test_none_are_asked_for_and_none_proposed() -> None:
    assert guess("abcabc", 0) == ""


def test_a_longer_and_longer_agreement_carries_further() -> None:
    drafter, text = NgramDrafter(), [*range(100), *range(100)]
    lengths = [len(drafter.propose(text[:end], 64)) for end in range(100, 164)]
    assert lengths == [0, 0, *range(2, MAX_MATCH), *[MAX_MATCH] * 32]


def test_a_quotation_that_changes_one_word_goes_on_behind_it() -> None:
    drafter, source = NgramDrafter(), [*range(100), *range(60)]
    drafter.propose(source, 8)
    assert drafter.propose([*source, 999], 8) == [61, 62, 63, 64, 65, 66, 67, 68]
    assert drafter.is_recovering
    assert drafter.propose([*source, 999, *range(61, 66)], 8) == [*range(66, 74)]
    assert not drafter.is_recovering


def test_a_quotation_that_has_ended_is_soon_left_alone() -> None:
    drafter, source = NgramDrafter(), [*range(100), *range(60)]
    lengths = [len(drafter.propose([*source, *range(500, 500 + more)], 8)) for more in range(5)]
    assert lengths == [8, 8, 2, 0, 0]


@given(st.lists(st.integers(0, 3), max_size=80), st.integers(1, 12))
def test_whatever_it_proposes_stands_in_the_sequence_behind_the_same_tokens(tokens: list[int], wanted: int) -> None:
    drafter = NgramDrafter()
    for end in range(len(tokens) + 1):
        seen = tokens[:end]
        draft = drafter.propose(seen, wanted)
        assert len(draft) <= wanted
        if drafter.is_recovering and drafter.match > 0:
            continue  # a word was changed: another test
        if draft:
            grown = seen + draft  # a repetition may read on in the draft itself
            places = [
                place
                for place in range(2, end)
                if grown[place - 2 : place] == seen[-2:] and grown[place : place + len(draft)] == draft
            ]
            assert places
        else:
            assert all(seen[place - 2 : place] != seen[-2:] for place in range(2, end))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.data())
def test_reading_in_pieces_finds_as_much_as_reading_at_once(tokens: list[int], data: st.DataObject) -> None:
    drafter, end = NgramDrafter(), 0
    while end < len(tokens):
        end = data.draw(st.integers(end + 1, len(tokens)))
        drafter.propose(tokens[:end], 4)
    if NgramDrafter().propose(tokens, 4):
        assert drafter.propose(tokens, 4)
    elif not drafter.is_recovering:  # then it goes on behind a changed word, where it could as well be wrong
        assert not drafter.propose(tokens, 4)


def test_another_sequence_is_read_from_its_start() -> None:
    drafter = NgramDrafter()
    drafter.propose(list(map(ord, "one two three one two")), 4)
    assert "".join(map(chr, drafter.propose(list(map(ord, "four five four")), 4))) == " fiv"


def test_a_sequence_that_forgot_its_beginning_is_read_again() -> None:
    drafter, text = NgramDrafter(), list(map(ord, "--- one two three; one two"))
    assert "".join(map(chr, drafter.propose(text, 4))) == " thr"
    assert "".join(map(chr, drafter.propose(text[4:], 4))) == " thr"


def test_the_index_stays_small_however_long_the_sequence() -> None:
    drafter, tokens = NgramDrafter(max_indexed=64), list(range(1000))
    for end in range(0, 1001, 10):
        drafter.propose(tokens[:end], 4)
        assert drafter.num_indexed <= 64
    assert drafter.propose([*tokens, 998, 999, 990, 991, 992], 4) == [993, 994, 995]
    assert drafter.propose([*tokens, 998, 999, 990, 991, 992, 10, 11, 12], 4) == [], "that is too long ago"

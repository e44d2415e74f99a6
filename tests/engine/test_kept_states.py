"""What is kept of finished sequences, and who gets it: slots, RAM, disk; nothing is read twice, nothing mixed up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.house import House, alone
from webui.engine.sequence import Sequence
from webui.types import KvLayout, LoraAdapter, Priority

PLENTY = 1_000_000
DOCUMENT = [50 + index % 40 for index in range(100)]
LAYOUTS = pytest.mark.parametrize("layout", ["separate", "shared"])


def house(
    layout: KvLayout = "separate", *, slots: int = 2, can_trim: bool = True, state_dir: Path | None = None
) -> House:
    return House(
        slots=slots,
        kv=slots * 400,
        context=400,
        layout=layout,
        parked_bytes=PLENTY,
        can_trim=can_trim,
        state_dir=state_dir,
    )


# --- one reads for all -----------------------------------------------------------------------------------------------


@LAYOUTS
def test_eight_who_ask_about_one_document_read_it_once(layout: KvLayout) -> None:
    home = house(layout, slots=8)
    readers = [home.ask([*DOCUMENT, number], owner=f"guest {number}") for number in range(8)]
    num_computed = home.num_computed_by(*readers)
    assert num_computed == len(DOCUMENT) + 8 + 8 * 2, "the document once; each question, and two tokens fed back each"
    for number, reader in enumerate(readers):
        assert reader.tokens == alone([*DOCUMENT, number], 3)


def test_nobody_waits_for_a_reader_who_is_less_urgent() -> None:
    home = house()
    home.ask(DOCUMENT, priority=Priority.BACKGROUND)
    home.step()
    person = home.ask([*DOCUMENT, 7])
    assert person in {chunk.sequence for chunk in home.step()}


def test_who_waited_for_a_reader_who_left_reads_alone() -> None:
    home = house()
    leader = home.ask(DOCUMENT)
    follower = home.ask([*DOCUMENT, 7])
    home.step()
    assert follower.slot is None
    home.end(leader)
    home.run()
    assert follower.tokens == alone([*DOCUMENT, 7], 3)


# --- parked in RAM ---------------------------------------------------------------------------------------------------


@LAYOUTS
def test_a_conversation_that_lost_its_slot_comes_back_without_reading(layout: KvLayout) -> None:
    home = house(layout, slots=1)
    first = home.ask(DOCUMENT, conversation="a")
    home.run()
    home.ask([9] * 60, conversation="b")
    home.run()
    again = home.ask([*first.tokens, 8], conversation="a")
    num_computed = home.num_computed_by(again)
    assert num_computed == 2 + 2, "its last token, the new one, and two tokens fed back"
    assert again.tokens == alone([*first.tokens, 8], 3)
    assert home.scheduler.cache.hits["parked"] == len(first.tokens) - 1


def test_a_longer_state_replaces_the_shorter_one_that_it_goes_on_from() -> None:
    home = house(slots=1)
    tokens = DOCUMENT
    for turn in range(3):
        asked = home.ask([*tokens, turn], conversation="a")
        home.run()
        tokens = asked.tokens
        home.ask([9 + turn] * 60, conversation="b")
        home.run()
    assert home.saved.parked_bytes < 4 * 4 * len(tokens), "one state of “a” and two of “b”, not one for each turn"


def test_in_one_shared_memory_idle_states_leave_while_others_compute() -> None:
    home = house("shared", slots=3)
    home.ask(DOCUMENT, conversation="a")
    home.run()
    first, second = home.ask([9] * 60, conversation="b"), home.ask([8] * 60, conversation="c")
    home.step()
    home.step()
    assert home.scheduler.kv_used <= first.num_tokens + second.num_tokens, "attention would walk over the document"


def test_a_memory_that_refuses_to_be_saved_is_read_again() -> None:
    home = house(slots=1)
    home.runner.can_save = False
    first = home.ask(DOCUMENT, conversation="a")
    home.run()
    home.ask([9] * 60, conversation="b")
    home.run()
    again = home.ask([*first.tokens, 8], conversation="a")
    home.run()
    assert again.tokens == alone([*first.tokens, 8], 3)
    assert again.num_cached_tokens == 0


# --- memories that give back whole states only -----------------------------------------------------------------------


def test_a_recurrent_model_answers_again_from_the_checkpoint_at_the_end_of_the_prompt() -> None:
    home = house(can_trim=False)
    first = home.ask(DOCUMENT, conversation="a")
    home.run()
    again = home.ask(DOCUMENT, conversation="a")
    assert home.num_computed_by(again) == 1 + 2
    assert again.tokens == first.tokens


def test_a_recurrent_model_goes_on_where_its_answer_ended() -> None:
    home = house(can_trim=False)
    first = home.ask(DOCUMENT, conversation="a")
    home.run()
    again = home.ask([*first.tokens, 8, 7], conversation="a")
    assert home.num_computed_by(again) == 3 + 2
    assert again.tokens == alone([*first.tokens, 8, 7], 3)


def test_a_recurrent_model_computes_a_prompt_once_for_several_answers() -> None:
    home = house(can_trim=False, slots=4)
    answers = [home.ask(DOCUMENT) for _ in range(4)]
    assert home.num_computed_by(*answers) == len(DOCUMENT) + 3 + 4 * 2
    assert {tuple(answer.tokens) for answer in answers} == {tuple(alone(DOCUMENT, 3))}


# --- side jobs, drafts of a message ----------------------------------------------------------------------------------


@LAYOUTS
def test_a_title_costs_its_instruction_and_leaves_the_conversation_as_it_was(layout: KvLayout) -> None:
    home = house(layout)
    chat = home.ask(DOCUMENT, conversation="a")
    home.run()
    title = home.ask([*chat.tokens, 1, 2, 3], is_side_job=True, priority=Priority.BACKGROUND)
    assert home.num_computed_by(title) == 1 + 3 + 2
    again = home.ask([*chat.tokens, 8], conversation="a")
    assert home.num_computed_by(again) == 2 + 2
    assert title.tokens[: chat.num_tokens] == chat.tokens


def test_what_is_read_ahead_waits_for_everybody_and_is_there_when_it_is_sent() -> None:
    home = house()
    talker = home.ask([5] * 10, owner="ben", answer=6)
    draft = home.ask(DOCUMENT, conversation="a", priority=Priority.IDLE, answer=0)
    while talker not in home.ended:
        assert all(chunk.sequence is talker for chunk in home.step())
    home.run()
    assert draft in home.ended
    sent = home.ask([*DOCUMENT, 1, 2], conversation="a")
    assert home.num_computed_by(sent) == 2 + 2
    assert sent.tokens == alone([*DOCUMENT, 1, 2], 3)


def test_reading_ahead_gives_its_slot_to_whoever_really_asks() -> None:
    home = house(slots=1)
    draft = home.ask(DOCUMENT, conversation="a", priority=Priority.IDLE, answer=0)
    home.step()
    person = home.ask([5] * 10, owner="ben")
    assert [chunk.sequence for chunk in home.step()] == [person]
    home.run()
    assert {draft, person} == set(home.ended)


# --- guesses ---------------------------------------------------------------------------------------------------------


def test_right_guesses_take_fewer_steps_and_wrong_ones_change_nothing() -> None:
    plain, guessed, misled = (house() for _ in range(3))
    truth = alone(DOCUMENT, 20)[len(DOCUMENT) :]
    wrong = [token if index % 3 else 1 for index, token in enumerate(truth)]
    steps = []
    for home, guess in ((plain, []), (guessed, truth), (misled, wrong)):
        answer = home.ask(DOCUMENT, answer=20, guess=guess)
        steps.append(home.run())
        assert answer.tokens == alone(DOCUMENT, 20)
    assert steps[1] < steps[2] < steps[0]


@LAYOUTS
def test_after_a_wrong_guess_the_next_turn_still_finds_what_was_computed(layout: KvLayout) -> None:
    home = house(layout)
    first = home.ask(DOCUMENT, answer=4, guess=[1, 1, 1, 1], conversation="a")
    home.run()
    again = home.ask([*first.tokens, 8], conversation="a")
    assert home.num_computed_by(again) == 2 + 2
    assert again.tokens == alone([*first.tokens, 8], 3)


# --- pauses, adapters, forgetting ------------------------------------------------------------------------------------


def test_a_paused_answer_rests_keeps_its_memory_and_goes_on() -> None:
    home = house()
    paused, other = home.ask(DOCUMENT, answer=10), home.ask([5] * 10, owner="ben")
    home.step()
    home.step()
    home.step()
    paused.is_paused = True
    num_before = paused.num_tokens
    home.run()
    assert other in home.ended
    assert paused.num_tokens == num_before
    paused.is_paused = False
    home.run()
    assert paused.tokens == alone(DOCUMENT, 10)


def test_a_paused_answer_gives_its_slot_to_those_who_wait() -> None:
    home = house(slots=1)
    paused = home.ask(DOCUMENT, answer=10)
    home.step()
    home.step()
    paused.is_paused = True
    other = home.ask([5] * 10, owner="ben")
    home.run()
    assert other in home.ended
    paused.is_paused = False
    home.run()
    assert paused.tokens == alone(DOCUMENT, 10)


def test_adapters_share_neither_a_step_nor_a_prefix() -> None:
    home = house(slots=3)
    pirate, poet = (LoraAdapter(path="pirate.gguf"),), (LoraAdapter(path="poet.gguf"),)
    asked = [home.ask(DOCUMENT, owner=str(index), variant=each) for index, each in enumerate(((), pirate, poet))]
    assert home.num_computed_by(*asked) == 3 * (len(DOCUMENT) + 2)
    again = home.ask([*asked[1].tokens, 8], owner="1", variant=pirate)
    assert home.num_computed_by(again) == 2 + 2, "its own prefix is found"


def test_a_forgotten_conversation_leaves_nothing(tmp_path: Path) -> None:
    home = house(slots=1, state_dir=tmp_path)
    for conversation in ("a", "b"):
        home.ask(DOCUMENT if conversation == "a" else [9] * 80, conversation=conversation)
        home.run()
        while home.scheduler.cache.store_one():
            pass
    home.saved.flush(5)
    home.scheduler.cache.forget("a")
    home.saved.flush(5)
    again = home.ask(DOCUMENT, conversation="c")
    home.run()
    assert again.num_cached_tokens == 0
    assert not list(tmp_path.glob("**/a/*")), "its file is gone"
    assert list(tmp_path.glob("**/b/*")), "another's is not"


# --- on disk ---------------------------------------------------------------------------------------------------------


def store_conversation(folder: Path) -> Sequence:
    """What was asked and answered before a restart; its state lies in the folder."""
    before = house(state_dir=folder)
    first = before.ask(DOCUMENT, conversation="a")
    before.run()
    while before.scheduler.cache.store_one():
        pass
    before.saved.flush(5)
    return first


def test_a_conversation_comes_back_after_a_restart(tmp_path: Path) -> None:
    first = store_conversation(tmp_path)
    after = house(state_dir=tmp_path)
    again = after.ask([*first.tokens, 8], conversation="a")
    assert after.num_computed_by(again) == 2 + 2
    assert again.tokens == alone([*first.tokens, 8], 3)
    assert after.scheduler.cache.hits["disk"] == len(first.tokens) - 1


def test_a_damaged_file_is_read_again_not_believed(tmp_path: Path) -> None:
    first = store_conversation(tmp_path)
    (file,) = (path for path in tmp_path.glob("**/*") if path.is_file())
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)

    after = house(state_dir=tmp_path)
    again = after.ask([*first.tokens, 8], conversation="a")
    after.run()
    assert again.tokens == alone([*first.tokens, 8], 3)
    assert again.num_cached_tokens == 0


# --- forgetting the oldest tokens ------------------------------------------------------------------------------------


@LAYOUTS
def test_the_oldest_tokens_are_forgotten_behind_the_beginning(layout: KvLayout) -> None:
    home = house(layout)
    answer = home.ask(DOCUMENT, answer=10)
    home.step()
    home.step()
    home.step()
    used = home.scheduler.kv_used
    assert home.scheduler.cache.shift(answer, keep=10, discard=50)
    assert home.scheduler.kv_used == used - 50
    assert answer.tokens[:20] == [*DOCUMENT[:10], *DOCUMENT[60:70]]
    home.run()
    assert answer.num_completion_tokens == 10

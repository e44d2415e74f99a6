"""What a request in OpenAI's words asks of our engine."""

from __future__ import annotations

from typing import Any

import pytest

from webui.api.errors import ParameterError, UnsupportedParameter
from webui.api.openai.request import ChatRequest
from webui.types import Message, SamplingParams

HELLO = [{"role": "user", "content": "Hello"}]


def request(**given: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": HELLO} | given)


def test_a_bare_request_keeps_our_defaults() -> None:
    bare = request()
    assert bare.to_generation("").messages == (Message(role="user", content="Hello"),)
    assert bare.to_generation("").sampling == SamplingParams()
    assert bare.model_name is None


def test_every_sampling_parameter_arrives() -> None:
    asked = request(
        temperature=0, top_p=0.9, top_k=0, min_p=0, repeat_penalty=1.1, presence_penalty=-1, frequency_penalty=0.5,
        seed=7, stop=["\n", "END"], max_tokens=12,
    )  # fmt: skip
    assert asked.to_generation("").sampling == SamplingParams(
        temperature=0, top_p=0.9, top_k=0, min_p=0, repeat_penalty=1.1, presence_penalty=-1, frequency_penalty=0.5,
        seed=7, stop=("\n", "END"), max_tokens=12,
    )  # fmt: skip


def test_null_is_not_given() -> None:
    nothing = dict.fromkeys(("temperature", "top_p", "seed", "stop", "max_tokens", "tools", "user", "model"))
    assert request(**nothing).to_generation("").sampling == SamplingParams()


def test_the_newer_name_of_max_tokens_wins_and_minus_one_is_no_seed() -> None:
    sampling = request(max_tokens=5, max_completion_tokens=9, seed=-1, stop="END").to_generation("").sampling
    assert (sampling.max_tokens, sampling.seed, sampling.stop) == (9, None, ("END",))


def test_parts_of_text_are_one_text_and_a_developer_is_the_system() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
        {"role": "assistant", "content": None},
    ]
    assert request(messages=messages).to_generation("").messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello"),
        Message(role="assistant", content=""),
    )


@pytest.mark.parametrize("name", ["", "default", None])
def test_no_model_means_the_current_one(name: str | None) -> None:
    assert request(model=name).model_name is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modalities", ["audio"]),
        ("guided_regex", "a+"),
    ],
)
def test_what_would_be_ignored_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UnsupportedParameter) as refusal:
        request(**{name: value}).refuse_unsupported()
    assert refusal.value.details["param"] == name


@pytest.mark.parametrize(
    ("name", "value"),
    [("tools", []), ("tool_choice", "none"), ("response_format", {"type": "text"}), ("logprobs", False), ("n", 1),
     ("user", "ann"), ("metadata", {"a": "b"}), ("store", False), ("logit_bias", {}), ("top_logprobs", 0)],
)  # fmt: skip
def test_what_changes_nothing_is_taken(name: str, value: object) -> None:
    request(**{name: value}).refuse_unsupported()  # would raise UnsupportedParameter


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:"}}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
    ],
)
def test_messages_that_need_more_than_text_and_images_are_refused(message: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter):
        request(messages=[message]).to_generation("")


QUESTION = {"role": "user", "content": "Count to four"}
BEGUN = {"role": "assistant", "content": "One, two,"}


@pytest.mark.parametrize("how", [{"continue_final_message": True}, {"add_generation_prompt": False}])
def test_the_last_message_is_gone_on_with(how: dict[str, bool]) -> None:
    generation = request(messages=[QUESTION, BEGUN], **how).to_generation("")
    assert [message.content for message in generation.messages] == ["Count to four"]
    assert generation.continuation == "One, two,"
    assert request(messages=[QUESTION, BEGUN]).to_generation("").continuation == ""


@pytest.mark.parametrize(
    "messages", [[QUESTION], [QUESTION, {"role": "assistant", "content": ""}]], ids=["a question", "no text"]
)
def test_only_an_assistants_text_can_go_on(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(ParameterError, match="assistant's with some text"):
        request(messages=messages, continue_final_message=True).to_generation("")


def test_to_go_on_and_to_begin_anew_contradict_each_other() -> None:
    both = request(messages=[QUESTION, BEGUN], continue_final_message=True, add_generation_prompt=True)
    with pytest.raises(ParameterError, match="contradicts"):
        both.to_generation("")


def test_a_conversation_that_outgrows_the_context_is_an_error_unless_asked_otherwise() -> None:
    assert request().to_generation("").overflow == "error"
    assert request(overflow="drop_oldest").to_generation("").overflow == "drop_oldest"


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ParameterError, match="“robot” is not a role"):
        request(messages=[{"role": "robot", "content": "beep"}]).to_generation("")

"""A chat template that somebody wrote is tried in a process of its own, and a fault is told with its line."""

from __future__ import annotations

import pytest

from webui.core.template_check import check_template
from webui.engine.template_check import find_fault
from webui.errors import BrokenTemplate

WORKS = """{% for message in messages %}
<|{{ message.role }}|>
{{ message.content }}
{% endfor %}"""


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("first\n{% for message in messages %}\n{{ message.content }\n{% endfor %}", 3, "unexpected '}'"),
        ("{{ bos_token }}\n\n{{ messages[0].content + 1 }}", 3, "can only concatenate str"),
        ("one\n{{ raise_exception('Only one message, please') }}", 2, "Only one message, please"),
        ("{% for message in messages %}\n{% endfor %}", None, "it does not repeat what the person says"),
        ("{{ messages[0].content }}\n{% for a in range(10**6) %}{% endfor %}", None, "range"),
        ("{{ ''.__class__.__mro__ }}\n{{ messages[0].content }}", 1, "unsafe"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_reason_and_its_line(source: str, line: int | None, reason: str) -> None:
    fault = find_fault(source)
    assert fault is not None
    assert reason.casefold() in fault[0].casefold()
    assert line is None or fault[1] == line


def test_templates_that_refuse_a_system_message_work_as_they_do_in_a_chat() -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + WORKS
    assert find_fault(WORKS) is None
    assert find_fault(refuses) is None


async def test_the_sandbox_of_another_process_says_it_and_this_one_stays_whole() -> None:
    await check_template(WORKS)
    with pytest.raises(BrokenTemplate, match=r"does not work in line 2: .*Correct it, or leave it out") as caught:
        await check_template("{{ messages[0].content }}\n{% nonsense %}")
    assert caught.value.details["line"] == 2

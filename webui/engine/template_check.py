"""Tries a chat template that somebody wrote: `python -m webui.engine.template_check`, the template on stdin.

One line of JSON comes out: `{}` when it works, else `{"reason": "…", "line": 3}` (null where no line is to blame). It
runs in a process of its own, so that nothing a template does reaches whoever asked; what the sandbox cannot stop ends
this process. It does not know models: the marks of beginning and end are made up.
"""

from __future__ import annotations

import json
import sys
from types import TracebackType

import jinja2

from webui.engine.chat_format import ChatFormat
from webui.engine.template_sandbox import Template
from webui.errors import TemplateFailed
from webui.types import Message, Role

_TEMPLATE_FILE = "<template>"  # what Jinja calls a template that came from no file
_QUESTION = "What is the capital of France?"
_TALKS: tuple[tuple[tuple[Role, str], ...], ...] = (
    (("user", _QUESTION),),
    (("system", "Be brief."), ("user", _QUESTION)),
    (("user", "Hello!"), ("assistant", "Hello, how can I help?"), ("user", _QUESTION)),
)


def find_fault(source: str) -> tuple[str, int | None] | None:
    """Why the template does not work, and the line; None when it does."""
    try:
        Template(source)
        chat_format = ChatFormat(source, bos="<s>", eos="</s>", control_texts=())
        for talk in _TALKS:
            prompt = chat_format.render(tuple(Message(role=role, content=said) for role, said in talk))
            text = "".join(piece for piece in prompt.pieces if isinstance(piece, str))
            if _QUESTION not in text:
                return "it does not repeat what the person says", None
    except TemplateFailed as error:
        return _reason(error), _line(error)
    return None


def _reason(error: TemplateFailed) -> str:
    cause = error.__cause__
    if isinstance(cause, jinja2.TemplateSyntaxError):
        return cause.message or "it is not a Jinja template"
    return str(error.details.get("reason", error)).rstrip(".")


def _line(error: TemplateFailed) -> int | None:
    """The line of the template at which it went wrong: as Jinja's compiler says, or the innermost frame in it."""
    cause = error.__cause__ or error
    if isinstance(cause, jinja2.TemplateSyntaxError):
        return cause.lineno
    line, frame = None, cause.__traceback__
    while isinstance(frame, TracebackType):
        if frame.tb_frame.f_code.co_filename == _TEMPLATE_FILE:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def main() -> None:
    fault = find_fault(sys.stdin.buffer.read().decode("utf-8", "replace"))
    sys.stdout.write(json.dumps({"reason": fault[0], "line": fault[1]} if fault else {}))


if __name__ == "__main__":
    main()

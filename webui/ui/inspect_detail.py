"""One inspected request on its way to a browser: everything once, and then only what is new.

A long answer grows many times a second; sending all of it each time would cost more than the answer itself.
"""

from __future__ import annotations

import codecs
from typing import Any

from webui.core.exchange import Exchange, SeenAnswer, Words

Json = dict[str, Any]

_USER_AGENT_LENGTH = 80


def view_row(exchange: Exchange) -> Json:
    """A line of the list."""
    arrived, answers = exchange.arrived, exchange.answers
    ends = [answer.end for answer in answers if answer.end is not None]
    usages, facts = [end.usage for end in ends], exchange.facts
    return {
        "id": exchange.id,
        "time": exchange.came_at,
        "method": arrived.method,
        "path": arrived.path,
        "query": arrived.query,
        "dialect": arrived.dialect,
        "client": arrived.header("user-agent")[:_USER_AGENT_LENGTH],
        "address": arrived.address,
        "key": exchange.key_name,
        "model": answers[0].model if answers else facts.model,
        "status": exchange.status,
        "isRunning": exchange.is_running,
        "isCut": exchange.is_cut,
        "first": exchange.first_seconds,
        "total": exchange.total_seconds,
        "promptTokens": sum(each.prompt_tokens for each in usages) if usages else facts.prompt_tokens,
        "cachedTokens": sum(each.cached_tokens for each in usages),
        "completionTokens": sum(end.usage.completion_tokens for end in ends)
        if ends
        else exchange.facts.completion_tokens,
        "reason": ", ".join(dict.fromkeys(end.reason for end in ends)),
        "error": next((answer.error for answer in answers if answer.error), facts.error),
        "replayOf": exchange.replay_of,
    }


class DetailFeed:
    """What a browser knows of one exchange. `first()` and then `more()` as often as there is news."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._num_pieces = 0
        self._num_characters: dict[tuple[int, str], int] = {}

    def first(self) -> Json:
        exchange = self.exchange
        return {
            "id": exchange.id,
            "headers": exchange.arrived.headers,
            "request": exchange.request.data.decode("utf-8", "replace"),
            "requestLeftOut": exchange.request.num_left_out,
            **self.more(),
        }

    def more(self) -> Json:
        """`pieces` and `texts` go behind those that came before."""
        exchange = self.exchange
        pieces = exchange.response.pieces[self._num_pieces :]
        self._num_pieces = len(exchange.response.pieces)
        return {
            "id": exchange.id,
            "row": view_row(exchange),
            "responseHeaders": exchange.response_headers,
            "responseLeftOut": exchange.response.num_left_out,
            "pieces": [[seconds, self._decoder.decode(data)] for seconds, data in pieces],
            "texts": [text for index, answer in enumerate(exchange.answers) for text in self._texts(index, answer)],
            "answers": [_view_answer(answer) for answer in exchange.answers],
        }

    def _texts(self, index: int, answer: SeenAnswer) -> list[list[Any]]:
        """[answer, name, text] of what has grown; a tool call's arguments are called “call 0”."""
        named = {"prompt": answer.prompt, "reasoning": answer.reasoning, "text": answer.text}
        named |= {f"call {number}": call.arguments for number, call in enumerate(answer.calls)}
        grown = []
        for name, words in named.items():
            if words is not None and (text := self._rest(index, name, words)):
                grown.append([index, name, text])
        return grown

    def _rest(self, index: int, name: str, words: Words) -> str:
        known = self._num_characters.get((index, name), 0)
        if words.num_characters == known:
            return ""
        self._num_characters[index, name] = words.num_characters
        return str(words)[known:]


def _view_answer(answer: SeenAnswer) -> Json:
    """All but its texts."""
    end = answer.end
    left_out = answer.text.num_left_out + answer.reasoning.num_left_out
    return {
        "model": answer.model,
        "calls": [call.name for call in answer.calls],
        "promptTokens": answer.prompt_tokens,
        "promptProblem": answer.prompt_problem,
        "droppedMessages": answer.num_dropped_messages,
        "droppedTokens": answer.num_dropped_tokens,
        "leftOut": left_out + (answer.prompt.num_left_out if answer.prompt else 0),
        "error": answer.error,
        "reason": end.reason if end else "",
        "notes": list(end.notes) if end else [],
    }

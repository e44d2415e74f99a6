"""JSON as models write it, read piece by piece and passed on as JSON that is valid.

Valid JSON passes as it is, without the blanks between its parts. What models get wrong is mended, by rules that can not
touch valid JSON: quotes of other kinds, keys and words without quotes, Python's and JavaScript's words, commas too many
or missing, line feeds and quotes inside of strings, brackets closed in the wrong order or not at all. It does not know
what the JSON means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

MAX_DEPTH = 100
MAX_DIGITS = 300  #: Python reads no whole number of more than 4,300
_WORDS = {
    "true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null",
    "NaN": "null", "undefined": "null",
}  # fmt: skip
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN_BEFORE_QUOTE = re.compile(rf"(?:{_NUMBER.pattern}|{'|'.join(_WORDS)})\s+(?=[\"'])")
_QUOTES = {'"': '"', "'": "'", "“": "”", "`": "`"}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SURROGATES = range(0xD800, 0xE000)

Kind = Literal["open", "close", "comma", "colon", "key", "text", "word"]
State = Literal["value", "key", "colon", "next", "string", "bare", "done"]


class Part(NamedTuple):
    """A part of the JSON: `text` is what it is in valid JSON. A text may come in several parts. `depth`: how many
    brackets are around it."""

    kind: Kind
    text: str
    depth: int


class LenientJson:
    """One value, an object or a list."""

    def __init__(self, end_marks: tuple[str, ...] = ()) -> None:
        """`end_marks`: texts that can follow behind the value; where a string's quote is missing, they end it."""
        self.state: State = "value"
        self.is_broken = False  #: it is no JSON, and nothing can be mended
        self.is_mended = False
        self.held = ""  #: what is not read yet; once done, what follows the value
        self._marks = end_marks
        self._brackets: list[str] = []
        self._has_entries: list[bool] = []  #: for each bracket, whether something stands behind it already
        self._needs_comma = False  #: a comma was read, and nothing behind it
        self._quote = '"'
        self._is_key = False
        self._is_last = False
        self._half = 0  #: the first half of a surrogate pair

    @property
    def is_done(self) -> bool:
        return self.state == "done" or self.is_broken

    def feed(self, text: str) -> Iterator[Part]:
        """The parts that are certain with `text`."""
        self.held += text
        while not self.is_done:
            before = len(self.held), self.state
            yield from self._step()
            if (len(self.held), self.state) == before:
                return

    def finish(self) -> Iterator[Part]:
        """The text has ended: what is open is closed."""
        self._is_last = True
        yield from self.feed("")
        if self.state == "done" or self.is_broken:
            return
        self.is_mended = True
        if not self._brackets:
            self.is_broken = True
            return
        if self.state == "string":
            yield from self._end_string()
        if self.state == "colon":
            yield Part("colon", ":", len(self._brackets))
            self.state = "value"
        if self.state == "value" and self._brackets[-1] == "}":
            yield Part("word", "null", len(self._brackets))
        while self._brackets:
            yield self._close()

    # --- the structure ---------------------------------------------------------------------------------------------

    def _step(self) -> Iterator[Part]:
        if self.state == "string":
            yield from self._string()
            return
        if self.state == "bare":
            yield from self._bare()
            return
        self.held = self.held.lstrip()
        if not self.held:
            return
        match self.state:
            case "value":
                yield from self._value(self.held[0])
            case "key":
                yield from self._key(self.held[0])
            case "colon":
                yield from self._colon(self.held[0])
            case "next":
                yield from self._next(self.held[0])

    def _value(self, character: str) -> Iterator[Part]:
        if character in "{[" and len(self._brackets) < MAX_DEPTH:
            yield from self._comma()
            yield Part("open", character, len(self._brackets))
            self._brackets.append("}" if character == "{" else "]")
            self._has_entries.append(False)
            self.state = "key" if character == "{" else "value"
            self._skip()
        elif not self._brackets:
            self.is_broken = True
        elif character in "]}":
            if self._brackets[-1] == "}":  # a colon, and nothing behind it
                self.is_mended = True
                yield Part("word", "null", len(self._brackets))
            else:
                self.is_mended = self.is_mended or self._needs_comma
            self.state = "next"
        elif character == "," and self._brackets[-1] == "]":
            self.is_mended = True
            self._skip()
        elif character in _QUOTES:
            yield from self._comma()
            yield from self._begin_string(character, is_key=False)
        else:
            yield from self._comma()
            self.state, self._is_key = "bare", False

    def _key(self, character: str) -> Iterator[Part]:
        if character in "}]":
            self.is_mended = self.is_mended or self._needs_comma
            self.state = "next"
        elif character == ",":
            self.is_mended = True
            self._skip()
        elif character in _QUOTES:
            yield from self._comma()
            yield from self._begin_string(character, is_key=True)
        elif character.isalnum() or character in "_$-":
            yield from self._comma()
            self.state, self._is_key = "bare", True
        else:
            self.is_mended = True
            self._skip()

    def _colon(self, character: str) -> Iterator[Part]:
        self.is_mended = self.is_mended or character != ":"
        yield Part("colon", ":", len(self._brackets))
        self.state, self._needs_comma = "value", False
        if character in ":=":
            self._skip()

    def _next(self, character: str) -> Iterator[Part]:
        """Behind a value: a comma or the end."""
        if character == ",":
            self._needs_comma = True
            self.state = "key" if self._brackets[-1] == "}" else "value"
            self._skip()
        elif character in "}]":
            if character in self._brackets:
                while self._brackets[-1] != character:
                    self.is_mended = True
                    yield self._close()
                yield self._close()
            else:
                self.is_mended = True
            self._skip()
        elif any(mark.startswith(self.held[: len(mark)]) for mark in self._marks):
            if not any(self.held.startswith(mark) for mark in self._marks) and not self._is_last:
                return
            self.is_mended = True
            while self._brackets:
                yield self._close()
        elif character in _QUOTES or character in "{[" or character.isalnum() or character == "-":
            self.is_mended = self._needs_comma = True
            self.state = "key" if self._brackets[-1] == "}" else "value"
        else:
            self.is_mended = True
            self._skip()

    def _close(self) -> Part:
        bracket = self._brackets.pop()
        self._has_entries.pop()
        self.state, self._needs_comma = ("next" if self._brackets else "done"), False
        return Part("close", bracket, len(self._brackets))

    def _comma(self) -> Iterator[Part]:
        """The comma that is due before a key, or a value of a list, unless it is the first."""
        if not self._brackets or (self.state == "value" and self._brackets[-1] == "}"):
            return
        if self._has_entries[-1]:
            yield Part("comma", ",", len(self._brackets))
        self._has_entries[-1], self._needs_comma = True, False

    def _skip(self) -> None:
        self.held = self.held[1:]

    # --- strings and words -----------------------------------------------------------------------------------------

    def _begin_string(self, quote: str, *, is_key: bool) -> Iterator[Part]:
        self.is_mended = self.is_mended or quote != '"'
        self.state, self._quote, self._is_key = "string", _QUOTES[quote], is_key
        self._skip()
        yield self._part('"')

    def _string(self) -> Iterator[Part]:
        """The characters up to the closing quote, or to one of which that is not clear yet."""
        said: list[str] = []
        at, has_ended = 0, False
        while at < len(self.held):
            character = self.held[at]
            if character == "\\":
                length = self._escape(at, said)
                if not length:
                    break
                at += length
                continue
            if character == self._quote:
                verdict = self._is_end(at + 1)
                if verdict is None:
                    break
                if verdict:
                    has_ended = True
                    at += 1
                    break
                self.is_mended = True
            elif character < " ":
                self.is_mended = True
            self._say(character, said)
            at += 1
        self.held = self.held[at:]
        if said:
            yield self._part(json.dumps("".join(said), ensure_ascii=False)[1:-1])
        if has_ended:
            yield from self._end_string()

    def _say(self, character: str, said: list[str]) -> None:
        if self._half:
            said.append("\ufffd")
            self._half = 0
        said.append(character if ord(character) not in _SURROGATES else "\ufffd")

    def _escape(self, at: int, said: list[str]) -> int:
        """How long the escape at `at` is; 0 when its end has not come yet."""
        rest = self.held[at + 1 : at + 6]
        if not rest or (rest[0] == "u" and len(rest) < 5 and re.fullmatch(r"u[0-9a-fA-F]*", rest)):
            if not self._is_last:
                return 0
            self._say("\\", said)
            return 1
        if re.fullmatch(r"u[0-9a-fA-F]{4}", rest):
            self._unicode(int(rest[1:], 16), said)
            return 6
        if rest[0] in _ESCAPES:
            self._say(_ESCAPES[rest[0]], said)
            return 2
        self.is_mended = True
        if rest[0] in _QUOTES.values() or rest[0] == "\n":
            self._say(rest[0], said)
            return 2
        self._say("\\", said)
        return 1

    def _unicode(self, code: int, said: list[str]) -> None:
        if self._half and 0xDC00 <= code < 0xE000:
            said.append(chr(0x10000 + ((self._half - 0xD800) << 10) + code - 0xDC00))
            self._half = 0
        elif 0xD800 <= code < 0xDC00:
            if self._half:
                said.append("\ufffd")
            self._half = code
        else:
            self._say(chr(code), said)

    def _is_end(self, at: int) -> bool | None:
        """Whether a quote before `at` closes its string: what comes next tells. None while that is not here yet."""
        following = self.held[at:].lstrip()
        if not following:
            return True if self._is_last else None
        if following[0] in (":=" if self._is_key else ",}]"):
            return True
        if any(following.startswith(mark) for mark in self._marks):
            return True
        if any(mark.startswith(following) for mark in self._marks) and not self._is_last:
            return None
        return False

    def _end_string(self) -> Iterator[Part]:
        if self._half:
            self._half = 0
            yield self._part("\ufffd")
        yield self._part('"')
        self.state = "colon" if self._is_key else "next"

    def _bare(self) -> Iterator[Part]:
        """A number, or a word without quotes: up to what cannot be part of it."""
        ends = ":=,{}[]\"'\n" if self._is_key else ",}]\n"
        length = next((at for at, character in enumerate(self.held) if character in ends), -1)
        if not self._is_key and (missing := _PLAIN_BEFORE_QUOTE.match(self.held)):  # a comma is missing
            length = missing.end()
        marks = [at for mark in self._marks if (at := self.held.find(mark)) >= 0]
        if marks and (length < 0 or min(marks) < length):
            length = min(marks)
        if length < 0:
            if not self._is_last:
                return
            length = len(self.held)
        word, self.held = self.held[:length].strip(), self.held[length:]
        if self._is_key:
            self.is_mended = True
            yield Part("key", json.dumps(word, ensure_ascii=False), len(self._brackets))
            self.state = "colon"
            return
        is_number = len(word) <= MAX_DIGITS and _NUMBER.fullmatch(word)
        plain = _WORDS.get(word) or (word if is_number else None)
        self.is_mended = self.is_mended or plain != word
        if plain is None and (number := _python_number(word)):
            plain = number
        yield Part("word", plain if plain is not None else json.dumps(word, ensure_ascii=False), len(self._brackets))
        self.state = "next"

    def _part(self, text: str) -> Part:
        return Part("key" if self._is_key else "text", text, len(self._brackets))


def _python_number(word: str) -> str | None:
    """Numbers as JSON does not have them: `.5`, `5.`, `+5`, `1_000`."""
    if not re.fullmatch(r"[+-]?[0-9_]*\.?[0-9_]*", word) or not re.search("[0-9]", word) or len(word) > 40:
        return None
    try:
        return json.dumps(int(word) if "." not in word else float(word))
    except ValueError:
        return None

"""GBNF, the grammar notation of llama.cpp, translated into the one that the grammar compiler reads (Lark).

Every character becomes a lexeme of its own. The compiler's lexer takes the longest match, which for a literal like
"ab" beside "a" "bc" is not what GBNF means; characters all have the same length, so the language stays exactly the
same. The notation: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md (its token rules, `<…>`, are
refused). It does not compile anything.
"""

from __future__ import annotations

import re

from webui.errors import InvalidRequest

MAX_REPEATS = 2000  #: as in llama.cpp
MAX_DEPTH = 100
_ANY = r"/[\x{1}-\x{10FFFF}]/"
_NAME = re.compile(r"[A-Za-z0-9-]+")
_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_REPEAT = re.compile(r"\{\s*([0-9]{1,9})\s*(?:(,)\s*([0-9]{1,9})?\s*)?\}")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([tnr\\\"\[\]-]))")
_LETTERS = {"t": "\t", "n": "\n", "r": "\r"}


def gbnf_to_lark(source: str) -> str:
    """Raises InvalidRequest with the line that cannot be read."""
    return _Translator(source).translate()


class _Translator:
    def __init__(self, source: str) -> None:
        self._text = source
        self._at = 0
        self._depth = 0
        self._defined: dict[str, str] = {}
        self._used: dict[str, str] = {}  #: name in GBNF to name in Lark

    def translate(self) -> str:
        self._skip(lines=True)
        while self._at < len(self._text):
            self._rule()
            self._skip(lines=True)
        for name in ("root", *self._used):
            if name not in self._defined:
                raise InvalidRequest(f"The grammar has no rule “{name}”.")
        rules = [f"{self._lark_name(name)}: {body}" for name, body in self._defined.items()]
        return "\n".join([f"start: {self._lark_name('root')}", *rules])

    # --- the notation ----------------------------------------------------------------------------------------------

    def _rule(self) -> None:
        name = self._take(_NAME, "a rule's name").group()
        self._skip()
        self._expect("::=")
        self._skip(lines=True)
        if name in self._defined:
            raise self._error(f"a second rule “{name}”")
        self._defined[name] = ""  # keeps its place: `root` may be used inside of itself
        self._defined[name] = self._alternatives(is_nested=False)
        if self._at < len(self._text) and self._text[self._at] not in "\r\n":
            raise self._error("the end of the rule")

    def _alternatives(self, *, is_nested: bool) -> str:
        alternatives = [self._sequence(is_nested=is_nested)]
        while self._text.startswith("|", self._at):
            self._at += 1
            self._skip(lines=True)
            alternatives.append(self._sequence(is_nested=is_nested))
        return " | ".join(alternatives)

    def _sequence(self, *, is_nested: bool) -> str:
        items: list[str] = []
        while (item := self._item()) is not None:
            self._skip(lines=is_nested)
            items.append(self._repeated(item))
            self._skip(lines=is_nested)
        return " ".join(items) or '""'

    def _item(self) -> str | None:
        here = self._text[self._at : self._at + 1]
        if here == '"':
            return self._literal()
        if here == "[":
            return self._class()
        if here == "(":
            return self._group()
        if here == ".":
            self._at += 1
            return _ANY
        name = _NAME.match(self._text, self._at)
        if name is None:
            return None
        self._at = name.end()
        return self._lark_name(name.group())

    def _literal(self) -> str:
        self._at += 1
        characters = []
        while not self._text.startswith('"', self._at):
            characters.append(f"/{_regex(self._character())}/")
        self._at += 1
        return f"({' '.join(characters)})" if characters else '""'

    def _class(self) -> str:
        self._at += 1
        is_negated = self._text.startswith("^", self._at)
        self._at += is_negated
        ranges = [r"\x{0}"] if is_negated else []
        while not self._text.startswith("]", self._at):
            first = last = self._character()
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                last = self._character()
            if first > last:
                raise self._error("a range from low to high")
            ranges.append(f"{_regex(first)}-{_regex(last)}")
        self._at += 1
        if not ranges:
            raise self._error("a character between [ and ]")
        return f"/[{'^' if is_negated else ''}{''.join(ranges)}]/"

    def _group(self) -> str:
        self._at += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidRequest(f"The grammar is nested deeper than {MAX_DEPTH} levels.")
        self._skip(lines=True)
        body = self._alternatives(is_nested=True)
        self._expect(")")
        self._depth -= 1
        return f"({body})"

    def _repeated(self, item: str) -> str:
        here = self._text[self._at : self._at + 1]
        if here and here in "*+?":
            self._at += 1
            return f"({item}){here}"
        if here != "{":
            return item
        match = self._take(_REPEAT, "a repetition like {2} or {2,5}")
        least, comma, most = match.groups()
        counts = [int(count) for count in (least, most) if count is not None]
        if max(counts) > MAX_REPEATS or counts != sorted(counts):
            raise InvalidRequest(f"The grammar repeats {match.group()}; at most {MAX_REPEATS} times, from low to high.")
        return f"({item}){{{','.join([least, most or ''] if comma else [least])}}}" if counts != [0] or comma else '""'

    def _character(self) -> str:
        """The next character of a literal or a class."""
        if self._at >= len(self._text):
            raise self._error("the end of the text or class")
        if self._text[self._at] != "\\":
            self._at += 1
            return self._text[self._at - 1]
        hexadecimal = self._take(_ESCAPE, r"an escape: \n \r \t \\ \" \[ \] \xAB \uABCD \U0010ABCD")
        *codes, letter = hexadecimal.groups()
        if letter is not None:
            return _LETTERS.get(letter, letter)
        code = int(next(code for code in codes if code is not None), 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise self._error("a character of Unicode")
        return chr(code)

    # --- reading ---------------------------------------------------------------------------------------------------

    def _lark_name(self, name: str) -> str:
        return self._used.setdefault(name, f"rule_{len(self._used)}")

    def _skip(self, *, lines: bool = False) -> None:
        match = (_SPACE_AND_LINES if lines else _SPACE).match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _take(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise self._error(expected)
        self._at = match.end()
        return match

    def _expect(self, text: str) -> None:
        if not self._text.startswith(text, self._at):
            raise self._error(f"“{text}”")
        self._at += len(text)

    def _error(self, expected: str) -> InvalidRequest:
        line = self._text.count("\n", 0, self._at) + 1
        found = self._text[self._at : self._at + 20].split("\n")[0] or "the end of the line"
        return InvalidRequest(f"The grammar cannot be read: line {line} should have {expected}, and has “{found}”.")


def _regex(character: str) -> str:
    return rf"\x{{{ord(character):X}}}"

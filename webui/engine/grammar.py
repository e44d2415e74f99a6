"""The grammar: which tokens may come next so that an answer has the form that was asked for.

`GrammarCompiler` belongs to one model: it knows the vocabulary, and compiles a grammar before the first token is
chosen; what cannot be honoured is refused there. `GrammarState` follows one answer. Both are llguidance, kept within
limits of time and memory that no schema gets around. It does not know llama.cpp, logits or how a token is chosen.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import llguidance
import numpy as np
from numpy.typing import NDArray

from webui.engine.gbnf import gbnf_to_lark
from webui.engine.json_schema import read_schema
from webui.engine.tool_calls.forced import to_lark
from webui.errors import InvalidRequest
from webui.types import Grammar

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions  # exists for type checkers only

MAX_SOURCE = 65_536  #: characters
MAX_CALLS_SOURCE = 4 * MAX_SOURCE  #: characters, of all tools together
MAX_GBNF = 20_000  #: characters; compiling takes quadratic time in a rule's length
MAX_CHOICES = 1000
_NUM_KEPT = 8  #: compiled grammars; n answers of one request compile theirs once
_LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=400_000,  # about 50 ms
    step_lexer_fuel=200_000,
    max_lexer_states=50_000,  # about 100 MB
    max_grammar_size=200_000,
    verbose_errors=False,  # would show the schema in the log
)
_JSON_OPTIONS: JsonCompileOptions = {
    "item_separator": ",",
    "key_separator": ":",
    "whitespace_flexible": True,
    "whitespace_pattern": r" |\n[ \t]{0,40}",  # a small model would go on with blanks for ever
    "coerce_one_of": False,
    "lenient": False,
}
_NAMES = {
    "json_schema": "JSON schema",
    "json_object": "JSON object",
    "regex": "regular expression",
    "gbnf": "grammar",
    "choice": "list of choices",
    "calls": "form of the tool calls",
}


@dataclass(frozen=True)
class GrammarVocabulary:
    """What the compiler must know of a model's tokens. `pieces` are the bytes that a token puts into an answer, empty
    for those that put none there; `tokenize` gives the model's own tokens of a text."""

    pieces: Items[bytes]
    ends: Items[int]
    tokenize: Callable[[str], list[int]]
    controls: Mapping[str, int] = field(default_factory=dict)  #: control tokens by text, which marks are made of

    @property
    def eos_token_id(self) -> int:
        return self.ends[0]

    bos_token_id = None

    @property
    def tokens(self) -> Items[bytes]:
        return [piece or b"<%d>" % token for token, piece in enumerate(self.pieces)]

    @property
    def special_token_ids(self) -> list[int]:
        """Tokens that no grammar names: control tokens, unused ones and the ends (which the grammar knows as such)."""
        return [token for token, piece in enumerate(self.pieces) if not piece]

    def __call__(self, text: str) -> list[int]:
        return self.tokenize(text)


class GrammarCompiler:
    """Compiles grammars for one model."""

    def __init__(self, vocabulary: GrammarVocabulary) -> None:
        """Takes some hundred milliseconds for a large vocabulary. Raises InvalidRequest when it has no end token."""
        if not vocabulary.ends:
            raise InvalidRequest("This model has no token that ends an answer, so it cannot keep to a grammar.")
        self._num_tokens = len(vocabulary.pieces)
        wrapper = llguidance.TokenizerWrapper(vocabulary)
        self._tokenizer = llguidance.LLTokenizer(wrapper, eos_token=list(vocabulary.ends))
        self._controls = vocabulary.controls
        self._kept: OrderedDict[Grammar, llguidance.LLMatcher] = OrderedDict()

    def compile(self, grammar: Grammar) -> GrammarState:
        """The state before the first token. Raises InvalidRequest with what cannot be honoured."""
        matcher = self._kept.get(grammar)
        if matcher is None:
            matcher = llguidance.LLMatcher(self._tokenizer, self._define(grammar), log_level=0, limits=_LIMITS)
            matcher.compute_bitmask()  # what is too complex shows here, and the copies have it done
            _check(matcher, grammar)
            self._kept[grammar] = matcher
            if len(self._kept) > _NUM_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(grammar)
        return GrammarState(matcher.deep_copy(), grammar, self._num_tokens)

    def _define(self, grammar: Grammar) -> str:
        if grammar.kind != "calls":
            return _definition(grammar)
        if len(grammar.source) > MAX_CALLS_SOURCE:
            raise InvalidRequest(f"The tools' descriptions are longer than {MAX_CALLS_SOURCE:,} characters.")
        return llguidance.LLMatcher.grammar_from_lark(to_lark(grammar.source, self._controls, _JSON_OPTIONS))


class GrammarState:
    """How far one answer has come in its grammar."""

    def __init__(self, matcher: llguidance.LLMatcher, grammar: Grammar, num_tokens: int) -> None:
        self._matcher = matcher
        self._grammar = grammar
        self._num_tokens = num_tokens

    def allowed(self) -> NDArray[np.intp]:
        """Ids of the tokens that may come next, ascending, never none; an end token among them means that the answer
        may end. Raises InvalidRequest when the grammar has become too complex to go on."""
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        _check(self._matcher, self._grammar)
        return np.flatnonzero(np.unpackbits(mask, count=self._num_tokens, bitorder="little"))

    def accept(self, token: int) -> None:
        """`token`, one of those allowed, was chosen."""
        self._matcher.consume_token(token)


def _check(matcher: llguidance.LLMatcher, grammar: Grammar) -> None:
    if matcher.is_error():
        raise _refusal(grammar, matcher.get_error())


def _refusal(grammar: Grammar, reason: str) -> InvalidRequest:
    lines = [line.strip() for line in reason.splitlines() if line.strip() not in {"", "<non-verbose/>"}]
    told = lines[0] if lines else "it is too complex"
    told = " ".join([told, *(line for line in lines[1:] if line.startswith("error:"))]).rstrip(".")
    return InvalidRequest(f"The {_NAMES[grammar.kind]} cannot be honoured: {told[:300]}.")


def _definition(grammar: Grammar) -> str:
    """The grammar in llguidance's terms."""
    most = MAX_GBNF if grammar.kind == "gbnf" else MAX_SOURCE
    if len(grammar.source) > most:
        raise InvalidRequest(f"The {_NAMES[grammar.kind]} is longer than {most:,} characters.")
    try:
        grammar.source.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"The {_NAMES[grammar.kind]} is not valid Unicode.") from error
    match grammar.kind:
        case "json_schema":
            return _json_grammar(grammar, read_schema(grammar.source))
        case "json_object":
            return _json_grammar(grammar, {"type": "object"})
        case "regex":
            return llguidance.LLMatcher.grammar_from_regex(grammar.source)
        case "gbnf":
            return llguidance.LLMatcher.grammar_from_lark(gbnf_to_lark(grammar.source))
        case "calls":
            raise ValueError("made by the compiler, which knows the control tokens")
        case "choice":
            return llguidance.LLMatcher.grammar_from_regex("|".join(map(_literal, _choices(grammar.source))))


def _json_grammar(grammar: Grammar, schema: dict[str, object]) -> str:
    try:
        return llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_JSON_OPTIONS)
    except ValueError as error:  # NaN, half a surrogate pair
        raise _refusal(grammar, str(error)) from error


def _choices(source: str) -> list[str]:
    try:
        choices = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The choices are not valid JSON.") from error
    if not isinstance(choices, list) or not all(isinstance(choice, str) and choice for choice in choices):
        raise InvalidRequest("The choices must be a list of texts, none of them empty.")
    if not 0 < len(choices) <= MAX_CHOICES:
        raise InvalidRequest(f"There must be 1 to {MAX_CHOICES:,} choices, not {len(choices):,}.")
    return choices


def _literal(text: str) -> str:
    """A regular expression that matches this text only."""
    return "".join(rf"\x{{{ord(character):X}}}" for character in text)

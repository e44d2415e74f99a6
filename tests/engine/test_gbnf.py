"""GBNF means here what it means to llama.cpp: its own grammar sampler is asked about the same texts."""

from __future__ import annotations

import pytest
from glasshouse_bench.llama_grammar import llama_cpp_takes

from webui.engine.gbnf import gbnf_to_lark
from webui.engine.model_runner import LlamaRunner
from webui.errors import InvalidRequest
from webui.types import Grammar


def we_take(runner: LlamaRunner, grammar: str, text: str) -> bool:
    """Whether ours lets `text` pass, and an end behind it.

    Byte by byte: it asks for the model's own tokens where a text is forced.
    """
    state = runner.vocabulary.grammars.compile(Grammar(kind="gbnf", source=grammar))
    num_accepted = state._matcher.try_consume_tokens(runner.vocabulary.tokenize([text]))
    return num_accepted == len(runner.vocabulary.tokenize([text])) and state._matcher.is_accepting()


ARITHMETIC = r"""
# sums, as in llama.cpp's own examples
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
"""


@pytest.mark.parametrize(
    ("grammar", "texts"),
    [
        (ARITHMETIC, ["a+1=2\n", "(x * 3)=y\n", "a+=1\n", "1=1", "a - b/c = 9\nb=2\n"]),
        ('root ::= "a" ("bc" | "b") | "ab" "d"', ["abc", "ab", "abd", "abcd", "a"]),
        ('root ::= x "a"\nx ::= [a-z]+ | "(" x ")"', ["bca", "(b)a", "b", "a", "aa"]),
        ('root ::= "a"{3} ("b" | "c"){2,4} "d"{1,} "e"{0,2}', ["aaabbd", "aaabcbcdde", "aabbd", "aaabbde", "aaab"]),
        (r'root ::= [^"\\\n]+ "\x41" [\u00e9\U0001F600]', ["hiAé", "hiA😀", "hiA", '"Aé', "\nAé"]),
        ("root ::= [a-]+ | [-x]+ [.] | [+*/]", ["a-a", "x-.", "-x", "*", "b"]),
        ("root ::= . . \"!\"", ["ab!", "é\n!", "a!", "abc!"]),
        ("root ::= start import\nstart ::= \"s\"\nimport ::= \"i\" | \"\"", ["si", "s", "i"]),
        ("root ::= (\n \"a\" # first\n | \"b\"\n)+ x-y\nx-y ::= \"1\" |\n \"2\"", ["ab1", "b2", "a", "1"]),
        ("root ::= \"/\" [a-z/]* \"//\"", ["/a//", "///", "/a/b//", "//"]),
    ],
)  # fmt: skip
def test_a_grammar_takes_what_llama_cpp_takes(starter_runner: LlamaRunner, grammar: str, texts: list[str]) -> None:
    ours = {text: we_take(starter_runner, grammar, text) for text in texts}
    assert ours == {text: llama_cpp_takes(starter_runner.vocabulary, grammar, text) for text in texts}
    assert set(ours.values()) == {True, False}, "the example shows both"


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ("", "no rule “root”"),
        ('main ::= "a"', "no rule “root”"),
        ("root ::= other", "no rule “other”"),
        ('root ::= "a"\nroot ::= "b"', "a second rule “root”"),
        ('root ::= "a', "the end of the text or class"),
        ("root ::= [", "the end of the text or class"),
        ("root ::= [z-a]", "a range from low to high"),
        ("root ::= []", "a character between"),
        (r'root ::= "\q"', "an escape"),
        (r'root ::= "\ud800"', "a character of Unicode"),
        ('root ::= ("a"', "“)”"),
        ('root = "a"', "“::=”"),
        ('root ::= "a"\nx ::= <[5]>', "line 2 should have the end of the rule"),
        ('root ::= "a"{5,2}', "from low to high"),
        ('root ::= "a"{3000}', "at most 2000 times"),
        ('root ::= "a"{x}', "a repetition like"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(grammar: str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        gbnf_to_lark(grammar)
    assert reason in str(refusal.value)

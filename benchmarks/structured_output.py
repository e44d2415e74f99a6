"""Which library keeps an answer to a JSON schema? Glasshouse's use of llguidance against llama.cpp's own grammars.

    python benchmarks/structured_output.py [path of an unpacked `jsonschema` source distribution]

The cases are those of the public JSON-Schema-Test-Suite for draft 2020-12, which the source distribution of
`jsonschema` on PyPI carries (it is downloaded when no path is given). A case is a schema with instances; it is

    refused   when the library says that it cannot honour the schema,
    wrong     when it takes an instance that is not valid: the answer could break its promise,
    narrow    when it takes no wrong one, but cannot write some instance that is valid,
    exact     otherwise.

The time is that of choosing one token of a text under a schema, mask included and the model's own computing left out;
both run in this process and take turns, token by token, over random logits.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from glasshouse_bench.llama_grammar import llama_cpp_reads, llama_cpp_takes
from llama_cpp.llama_grammar import json_schema_to_gbnf

from webui.engine.model_runner import LlamaVocabulary
from webui.engine.sampler import LlamaSampler
from webui.engine.sampler_chain import create_chain
from webui.errors import InvalidRequest
from webui.library.catalog import find_starter
from webui.types import Grammar, SamplingParams

Takes = Callable[[str], bool]
SAMPLING = SamplingParams(temperature=0.8, seed=1)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "city": {"enum": ["Oslo", "Lima", "Accra"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "age", "city", "tags"],
    "additionalProperties": False,
}
STORY = {"type": "object", "properties": {"story": {"type": "string"}}, "required": ["story"]}
TEXTS = [
    (PERSON, '{"name": "Ada Lovelace", "age": 36, "city": "Oslo", "tags": ["mathematics", "poetry", "engines"]}'),
    (STORY, '{"story": "Once upon a time there was a keeper of a lighthouse who found a bottle with a map in it."}'),
]
NUM_ROUNDS = 20


# --- the two libraries -----------------------------------------------------------------------------------------------


def ours(vocabulary: LlamaVocabulary, schema: Any) -> Takes | None:
    grammar = Grammar(kind="json_schema", source=json.dumps(schema))
    try:
        vocabulary.grammars.compile(grammar)
    except InvalidRequest:
        return None

    def takes(text: str) -> bool:
        state = vocabulary.grammars.compile(grammar)
        for token in vocabulary.tokenize([text]):
            if token not in state.allowed():
                return False
            state.accept(token)
        return vocabulary.ends[0] in state.allowed()

    return takes


def llama_cpps(vocabulary: LlamaVocabulary, schema: Any) -> Takes | None:
    try:
        gbnf = json_schema_to_gbnf(json.dumps(schema))
    except Exception:  # noqa: BLE001 whatever its converter raises is a refusal
        return None
    if not llama_cpp_reads(vocabulary, gbnf):
        return None
    return partial(llama_cpp_takes, vocabulary, gbnf)


# --- correctness -----------------------------------------------------------------------------------------------------


def cases(suite: Path) -> Iterator[dict[str, Any]]:
    """The required cases and the optional ones (formats, regular expressions)."""
    for file in (*sorted(suite.glob("*.json")), *sorted(suite.glob("optional/**/*.json"))):
        yield from json.loads(file.read_text(encoding="utf-8"))


def judge(takes: Takes | None, case: dict[str, Any]) -> str:
    if takes is None:
        return "refused"
    verdicts = set()
    for test in case["tests"]:
        text = json.dumps(test["data"], ensure_ascii=False, separators=(", ", ": "))
        text.encode(errors="replace")
        verdicts.add((takes(text.encode(errors="replace").decode()), test["valid"]))
    if (True, False) in verdicts:
        return "wrong"
    return "narrow" if (False, True) in verdicts else "exact"


def find_suite(argument: str | None, folder: Path) -> Path:
    if argument is None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "--dest", folder, "jsonschema"], check=True)
        with tarfile.open(next(folder.glob("jsonschema-*.tar.gz"))) as archive:
            archive.extractall(folder, filter="data")
        argument = str(next(path for path in folder.glob("jsonschema-*") if path.is_dir()))
    return Path(argument) / "json" / "tests" / "draft2020-12"


# --- time ------------------------------------------------------------------------------------------------------------


class Timed:
    """Chooses tokens from random logits, and counts the microseconds. The text is followed whatever it chooses."""

    def __init__(self, vocabulary: LlamaVocabulary, schema: Any) -> None:
        self._vocabulary = vocabulary
        self._grammar = Grammar(kind="json_schema", source=json.dumps(schema))
        self._gbnf = json_schema_to_gbnf(json.dumps(schema)).encode()
        self._logits = np.random.default_rng(1).normal(0, 3, vocabulary.num_tokens).astype(np.float32)
        self.micros: dict[str, list[float]] = {"free": [], "ours": [], "llama.cpp": []}

    def follow(self, text: str) -> None:
        state = self._vocabulary.grammars.compile(self._grammar)
        sampler = LlamaSampler(SAMPLING, self._vocabulary, window=1024, grammar=None)
        chain = create_chain(SAMPLING, self._vocabulary.pointer, window=1024)
        llamas = llama_cpp.llama_sampler_init_grammar(self._vocabulary.pointer, self._gbnf, b"root")
        everything = np.arange(len(self._logits))
        candidates = np.zeros(len(self._logits), [("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        for token in self._vocabulary.tokenize([text]):
            begin = time.perf_counter()
            sampler._choose_among(self._logits, everything)
            start = time.perf_counter()
            sampler._choose_among(self._logits, state.allowed())
            middle = time.perf_counter()
            candidates["id"] = everything
            candidates["logit"] = self._logits
            data = ctypes.cast(candidates.ctypes.data, llama_cpp.llama_token_data_p)
            array = llama_cpp.llama_token_data_array(data, len(candidates), -1, False)
            llama_cpp.llama_sampler_apply(llamas, ctypes.byref(array))
            llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
            end = time.perf_counter()
            state.accept(token)
            llama_cpp.llama_sampler_accept(llamas, token)
            self.micros["free"].append((start - begin) * 1e6)
            self.micros["ours"].append((middle - start) * 1e6)
            self.micros["llama.cpp"].append((end - middle) * 1e6)
        sampler.close()
        llama_cpp.llama_sampler_free(chain)
        llama_cpp.llama_sampler_free(llamas)


# --- the table -------------------------------------------------------------------------------------------------------


def load_vocabulary() -> LlamaVocabulary:
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(find_starter()).encode(), params)
    return LlamaVocabulary(model)


def main() -> None:
    vocabulary = load_vocabulary()
    with tempfile.TemporaryDirectory() as folder:
        suite = list(cases(find_suite(sys.argv[1] if len(sys.argv) > 1 else None, Path(folder))))
    print(f"{len(suite)} schemas, {sum(len(case['tests']) for case in suite)} instances\n")
    print("| library | exact | narrow | refused | wrong |\n|---|--:|--:|--:|--:|")
    for name, library in (("llguidance, as Glasshouse uses it", ours), ("llama.cpp's GBNF", llama_cpps)):
        counts = Counter(judge(library(vocabulary, case["schema"]), case) for case in suite)
        print(f"| {name} | " + " | ".join(str(counts[word]) for word in ("exact", "narrow", "refused", "wrong")) + " |")
    print("\n| text | no form, µs a token | llguidance | llama.cpp | ratio of the two |\n|---|--:|--:|--:|--:|")
    for name, (schema, text) in zip(("short fields", "one long text"), TEXTS, strict=True):
        timed = Timed(vocabulary, schema)
        for _ in range(NUM_ROUNDS):
            timed.follow(text)
        free, mine, theirs = (statistics.median(timed.micros[key]) for key in ("free", "ours", "llama.cpp"))
        print(f"| {name} | {free:.0f} | {mine:.0f} | {theirs:.0f} | {theirs / mine:.0f} |")


if __name__ == "__main__":
    main()

"""What llama.cpp's own grammar sampler takes: the measure for everything else that reads GBNF."""

from __future__ import annotations

import ctypes

import llama_cpp

from webui.engine.model_runner import LlamaVocabulary


def llama_cpp_reads(vocabulary: LlamaVocabulary, gbnf: str) -> bool:
    """Whether llama.cpp can make a sampler of this grammar at all."""
    sampler = llama_cpp.llama_sampler_init_grammar(vocabulary.pointer, gbnf.encode(), b"root")
    if sampler:
        llama_cpp.llama_sampler_free(sampler)
    return bool(sampler)


def llama_cpp_takes(vocabulary: LlamaVocabulary, gbnf: str, text: str) -> bool:
    """Whether the tokens of `text` pass, and an end behind them. The grammar is one that llama.cpp reads."""
    sampler = llama_cpp.llama_sampler_init_grammar(vocabulary.pointer, gbnf.encode(), b"root")
    assert sampler, "llama.cpp does not read this grammar"
    try:
        return all(_passes(sampler, token) for token in (*vocabulary.tokenize([text]), vocabulary.ends[0]))
    finally:
        llama_cpp.llama_sampler_free(sampler)


def _passes(sampler: llama_cpp.llama_sampler_p, token: int) -> bool:
    candidate = (llama_cpp.llama_token_data * 1)(llama_cpp.llama_token_data(token, 0.0, 0.0))
    array = llama_cpp.llama_token_data_array(candidate, 1, -1, False)
    llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
    if array.data[0].logit < 0:
        return False
    llama_cpp.llama_sampler_accept(sampler, token)
    return True

"""Embedding and rerank models through the real loop and llama.cpp: tiny ones, whose numbers depend on every word.

Flash attention and the size of a batch change the last bits of a 16-bit sum: the same vector is one whose cosine is
0.9999, and the tests see to it that other texts are far from that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest

from tests.engine.script import Script
from tests.engine.tiny_embedding_models import (
    BERT_CONTEXT,
    CLS,
    DECODER_CONTEXT,
    END,
    SEP,
    WIDTH,
    write_bert,
    write_decoder,
)
from webui.engine import embedding_runner
from webui.engine.boot import run_loop
from webui.engine.embedding_jobs import MAX_JOBS
from webui.engine.embedding_loop import EmbeddingLoop
from webui.engine.embedding_runner import PIECE_TOKENS, LlamaEmbeddingRunner
from webui.engine.model_runner import load_any_model, load_model
from webui.engine.protocol import (
    Cancel,
    Command,
    Embed,
    Embedded,
    Failed,
    Generate,
    Load,
    Loaded,
    Rerank,
    Reranked,
    Shutdown,
)
from webui.errors import LoadFailed
from webui.types import EmbeddingRequest, EngineOptions, GenerationRequest, Message, Priority, Ranking, RerankRequest

OPTIONS = EngineOptions(context_tokens=8192, kv_tokens=8192, num_slots=64, threads=1)
TEXTS = ("the fox jumps", "red", "the lazy dog is over the blue sea", "one two three", "a", "fox jumps the")
Runners = Callable[[str], LlamaEmbeddingRunner]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "mean": write_bert(folder / "mean.gguf"),
        "cls": write_bert(folder / "cls.gguf", pooling=gguf.PoolingType.CLS),
        "rank": write_bert(folder / "rank.gguf", pooling=gguf.PoolingType.RANK),
        "last": write_decoder(folder / "last.gguf"),
        "last-rank": write_decoder(folder / "last-rank.gguf", pooling=gguf.PoolingType.RANK),
        "chat": write_decoder(folder / "chat.gguf", pooling=None),
    }


@pytest.fixture(scope="module")
def runners(paths: dict[str, Path]) -> Runners:
    loaded: dict[str, LlamaEmbeddingRunner] = {}

    def get(name: str) -> LlamaEmbeddingRunner:
        if name not in loaded:
            runner = load_any_model(Load(model_path=str(paths[name]), options=OPTIONS), lambda _fraction: None)
            assert isinstance(runner, LlamaEmbeddingRunner)
            loaded[name] = runner
        return loaded[name]

    return get


def play(runner: LlamaEmbeddingRunner, *commands: Command) -> Script:
    script = Script(*commands)
    EmbeddingLoop(script, runner, time.monotonic).run()
    return script


def embed(request_id: int, *inputs: str | tuple[int, ...], **more: Any) -> Embed:
    return Embed(request_id=request_id, request=EmbeddingRequest(inputs=inputs, **more))


def rerank(request_id: int, query: str, *documents: str) -> Rerank:
    return Rerank(request_id=request_id, request=RerankRequest(query=query, documents=documents))


def assert_same(vectors: np.ndarray, others: Any) -> None:
    """Row by row, both of length 1."""
    cosines = np.sum(vectors * np.asarray(others), axis=-1)
    np.testing.assert_allclose(cosines, 1, atol=1e-4)


def vectors(script: Script, request_id: int = 1) -> np.ndarray:
    (report,) = (each for each in script.reports if isinstance(each, Embedded) and each.request_id == request_id)
    numbers = np.frombuffer(report.embeddings.vectors, dtype="<f4")
    return numbers.reshape(-1, report.embeddings.dimensions)


def ranking(script: Script, request_id: int = 1) -> Ranking:
    (report,) = (each for each in script.reports if isinstance(each, Reranked) and each.request_id == request_id)
    return report.ranking


# --- vectors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mean", "cls", "last"])
def test_a_batch_gives_what_each_text_gives_alone_in_the_order_of_the_request(runners: Runners, name: str) -> None:
    together = vectors(play(runners(name), embed(1, *TEXTS)))
    alone = [vectors(play(runners(name), embed(1, text)))[0] for text in TEXTS]
    assert together.shape == (len(TEXTS), WIDTH)
    assert_same(together, alone)
    cosines = together @ together.T
    assert np.all(cosines[~np.eye(len(TEXTS), dtype=bool)] < 0.99), "any other word, or order of words, is seen"


@pytest.mark.parametrize("name", ["mean", "cls", "last"])
def test_vectors_are_those_of_llama_cpp_itself(runners: Runners, paths: dict[str, Path], name: str) -> None:
    reference = llama_cpp.Llama(str(paths[name]), embedding=True, n_ctx=512, n_threads=1, verbose=False)
    expected = [reference.embed(text, normalize=True) for text in TEXTS]
    reference.close()
    assert_same(vectors(play(runners(name), embed(1, *TEXTS))), expected)


def test_vectors_have_length_one_unless_their_own_is_wanted(runners: Runners) -> None:
    script = play(runners("mean"), embed(1, *TEXTS), embed(2, *TEXTS, normalize=False))
    np.testing.assert_allclose(np.linalg.norm(vectors(script, 1), axis=1), 1, atol=1e-6)
    own = vectors(script, 2)
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    assert np.all(np.abs(lengths - 1) > 0.01)
    np.testing.assert_allclose(own / lengths, vectors(script, 1), atol=1e-6)


def test_fewer_dimensions_are_the_first_ones_brought_to_length_one_again(runners: Runners) -> None:
    script = play(
        runners("mean"), embed(1, *TEXTS), embed(2, *TEXTS, dimensions=8), embed(3, "a", dimensions=WIDTH + 1)
    )
    first = vectors(script, 1)[:, :8]
    np.testing.assert_allclose(vectors(script, 2), first / np.linalg.norm(first, axis=1, keepdims=True), atol=1e-6)
    assert script.failure(3).error.message == f"dimensions must be between 1 and {WIDTH}, not {WIDTH + 1}."


def test_token_ids_are_taken_as_they_are(runners: Runners) -> None:
    runner = runners("mean")
    tokens = tuple(runner.tokenize_input("the fox jumps"))
    assert (tokens[0], tokens[-1], len(tokens)) == (CLS, SEP, 5)
    script = play(runner, embed(1, "the fox jumps", tokens), embed(2, (1, 10_000)), embed(3, (-1,)))
    assert_same(*vectors(script))
    assert "Input 1 has a token that the model does not know" in script.failure(2).error.message
    assert script.failure(3).code == "invalid_request"


def test_special_tokens_in_a_text_are_only_text(runners: Runners) -> None:
    assert runners("mean").tokenize_input("red [SEP] blue").count(SEP) == 1
    assert runners("last").tokenize_input("red <|endoftext|> blue").count(END) == 1


def test_a_decoder_reads_more_than_a_piece(runners: Runners, paths: dict[str, Path]) -> None:
    text = "x" * (3 * PIECE_TOKENS + 7)
    reference = llama_cpp.Llama(
        str(paths["last"]), embedding=True, n_ctx=2048, n_batch=2048, n_ubatch=2048, n_threads=1, verbose=False
    )
    expected = reference.embed(text, normalize=True, truncate=False)
    reference.close()
    got = vectors(play(runners("last"), embed(1, "short", text, "short")))
    assert_same(got[1], expected)
    assert_same(got[0], got[2])
    assert got[0] @ got[1] < 0.9


# --- what cannot be done ---------------------------------------------------------------------------------------------


def test_a_text_that_is_too_long_is_refused_with_both_numbers_and_never_cut(runners: Runners) -> None:
    script = play(
        runners("mean"), embed(1, "red", "red " * BERT_CONTEXT), embed(2, "red " * (BERT_CONTEXT - 2)), embed(3, "red")
    )
    refused = script.failure(1)
    assert (refused.code, refused.details) == (
        "input_too_long",
        {"prompt_tokens": BERT_CONTEXT + 2, "context_tokens": BERT_CONTEXT, "number": 2},
    )
    assert "Input 2 is 130 tokens long, and the model reads at most 128" in refused.error.message
    assert len(vectors(script, 2)) == len(vectors(script, 3)) == 1
    too_long = play(runners("last"), embed(1, "x" * DECODER_CONTEXT)).failure(1)
    assert too_long.details["context_tokens"] == DECODER_CONTEXT


def test_nothing_is_an_error_and_not_a_vector(runners: Runners) -> None:
    script = play(runners("mean"), embed(1), embed(2, "red", ""), embed(3, ()))
    assert script.failure(1).error.message == "There is nothing to embed."
    assert script.failure(2).error.message == "Input 2 is empty."
    assert script.failure(3).error.message == "Input 1 is empty."


def test_each_model_does_what_it_was_made_for(runners: Runners, paths: dict[str, Path]) -> None:
    writing = Generate(request_id=3, request=GenerationRequest(messages=(Message(role="user", content="Hi"),)))
    embedding = play(runners("mean"), rerank(2, "red", "blue"), writing)
    assert embedding.failure(2).error.message == "This is an embedding model. Load a rerank model to rank documents."
    assert embedding.failure(3).error.message == "This model does not write. Load a chat model."
    assert "Load an embedding model" in play(runners("rank"), embed(1, "red")).failure(1).error.message
    chat = Script(Load(model_path=str(paths["chat"]), options=OPTIONS), embed(1, "red"), rerank(2, "red", "blue"))
    assert run_loop(chat, load_any_model)
    for request_id in (1, 2):
        assert chat.failure(request_id).error.message == "This is a chat model. Load an embedding or a rerank model."


def test_the_file_decides_which_loop_serves_it(paths: dict[str, Path]) -> None:
    for name, kind in (("mean", "embedding"), ("last", "embedding"), ("rank", "rerank"), ("chat", "chat")):
        script = Script(Load(model_path=str(paths[name]), options=OPTIONS))
        assert run_loop(script, load_any_model)
        (loaded,) = (report for report in script.reports if isinstance(report, Loaded))
        assert loaded.info.kind == kind


def test_who_needs_a_chat_model_gets_no_other(paths: dict[str, Path]) -> None:
    with pytest.raises(LoadFailed, match="it does not write"):
        load_model(Load(model_path=str(paths["mean"]), options=OPTIONS), lambda _fraction: None)


# --- ranking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rank", "last-rank"])
def test_scores_are_between_0_and_1_and_of_each_document_with_the_query(runners: Runners, name: str) -> None:
    script = play(runners(name), rerank(1, "the fox", *TEXTS), rerank(2, "blue sea", *TEXTS), rerank(3, "x", "", "y"))
    scores = ranking(script, 1).scores
    alone = [ranking(play(runners(name), rerank(1, "the fox", text))).scores[0] for text in TEXTS]
    np.testing.assert_allclose(scores, alone, atol=1e-3)
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) == len(TEXTS)
    assert max(abs(one - other) for one, other in zip(scores, ranking(script, 2).scores, strict=True)) > 1e-3
    assert script.failure(3).error.message == "Input 1 is empty."


def test_a_pair_is_read_as_the_model_was_trained(runners: Runners) -> None:
    encoder, decoder = runners("rank"), runners("last-rank")
    query, document = (encoder.tokenize_input(text)[1:-1] for text in ("the fox", "red [SEP]"))
    assert encoder.tokenize_pair("the fox", "red [SEP]") == [CLS, *query, SEP, *document, SEP]
    pair = decoder.tokenize_pair("{document}", "a <|endoftext|>")
    assert pair.count(END) == 2, "the two of the template"
    assert pair[-1] == END
    assert len(pair) == len("Q: {document}") + len("D: a <|endoftext|>") + 2


def test_a_long_pair_is_ranked_piece_by_piece_as_in_one(
    runners: Runners, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = ("short", "x" * (2 * PIECE_TOKENS + 9), "y" * (PIECE_TOKENS - 20))
    in_pieces = ranking(play(runners("last-rank"), rerank(1, "the fox", *documents))).scores
    monkeypatch.setattr(embedding_runner, "PIECE_TOKENS", DECODER_CONTEXT)
    whole = load_any_model(Load(model_path=str(paths["last-rank"]), options=OPTIONS), lambda _fraction: None)
    assert isinstance(whole, LlamaEmbeddingRunner)
    np.testing.assert_allclose(in_pieces, ranking(play(whole, rerank(1, "the fox", *documents))).scores, atol=1e-3)


def test_a_score_is_the_logit_of_llama_cpp_as_a_probability(runners: Runners) -> None:
    runner = runners("rank")
    logit = float(runner.compute([runner.tokenize_pair("the fox", "red")])[0, 0])
    assert ranking(play(runner, rerank(1, "the fox", "red"))).scores[0] == pytest.approx(1 / (1 + np.exp(-logit)))


# --- side by side ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["bob", "ann"])
def test_a_short_request_does_not_wait_for_the_end_of_a_long_one(runners: Runners, owner: str) -> None:
    long = embed(1, *("the lazy dog is over the blue sea " * 5 for _ in range(200)), owner="ann")
    script = play(runners("mean"), long, embed(2, "red", owner=owner))
    ended = [report.request_id for report in script.reports if isinstance(report, Embedded)]
    assert ended == [2, 1]
    assert len(vectors(script, 1)) == 200


def test_background_work_goes_behind_a_program(runners: Runners) -> None:
    texts = ["the lazy dog is over the blue sea " * 5] * 40
    script = play(
        runners("mean"), embed(1, *texts, priority=Priority.BACKGROUND), embed(2, *texts, priority=Priority.API)
    )
    assert [report.request_id for report in script.reports if isinstance(report, Embedded)] == [2, 1]


def test_what_nobody_waits_for_is_never_in_a_batch_with_others(
    runners: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, batches = runners("mean"), []

    def compute(rows: list[list[int]]) -> Any:
        batches.append({tuple(row) for row in rows})
        return LlamaEmbeddingRunner.compute(runner, rows)

    monkeypatch.setattr(runner, "compute", compute)
    script = play(
        runner, embed(1, *["red"] * 9, priority=Priority.IDLE), embed(2, *["the sea"] * 9, priority=Priority.API)
    )
    assert [report.request_id for report in script.reports if isinstance(report, Embedded)] == [2, 1]
    assert all(len(kinds) == 1 for kinds in batches)


def test_a_cancelled_request_is_gone_before_the_next_batch(runners: Runners) -> None:
    class Counting(LlamaEmbeddingRunner):
        """The same runner; the cancel comes while it computes the first batch."""

        def __init__(self, script: Script) -> None:
            self.__dict__ = runners("mean").__dict__.copy()
            self.script = script
            self.num_computed = 0

        def compute(self, sequences: Any) -> Any:
            self.num_computed += len(sequences)
            if self.num_computed == len(sequences):
                self.script.commands.append(Cancel(request_id=1))
            return super().compute(sequences)

    script = Script(embed(1, *["the lazy dog is over the blue sea " * 5] * 200), embed(2, "red", owner="bob"))
    counting = Counting(script)
    EmbeddingLoop(script, counting, time.monotonic).run()
    assert counting.num_computed < 50
    assert [report.request_id for report in script.reports if isinstance(report, Embedded | Failed)] == [2]


def test_a_full_queue_says_so_at_once(runners: Runners) -> None:
    script = play(runners("mean"), *(embed(number, "red") for number in range(MAX_JOBS + 1)))
    assert script.failure(MAX_JOBS).code == "engine_busy"
    assert sum(isinstance(report, Embedded) for report in script.reports) == MAX_JOBS


def test_shutdown_ends_the_loop_at_once(runners: Runners) -> None:
    script = play(runners("mean"), Shutdown(), embed(1, "red"))
    assert not any(isinstance(report, Embedded) for report in script.reports)
